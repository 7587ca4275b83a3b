//! Keys, and what is signed with them.

use std::io::Write as _;

use openpgp::Cert;
use openpgp::cert::CertBuilder;
use openpgp::policy::StandardPolicy;
use openpgp::serialize::SerializeInto as _;
use openpgp::serialize::stream::{Armorer, Message, Signer};
use sequoia_openpgp as openpgp;

/// A new key pair.
pub(crate) fn key() -> Cert {
    CertBuilder::new().add_userid("archive@example.org").add_signing_subkey().generate().unwrap().0
}

/// Its public part, as keyring files have it.
pub(crate) fn public(key: &Cert) -> Vec<u8> {
    key.clone().strip_secret_key_material().to_vec().unwrap()
}

fn signer<'m>(message: Message<'m>, key: &Cert) -> Signer<'m> {
    let policy = StandardPolicy::new();
    let keys = key.keys().unencrypted_secret().with_policy(&policy, None).supported().alive().for_signing();
    let pair = keys.map(|key| key.key().clone().into_keypair().unwrap()).next().unwrap();
    Signer::new(message, pair).unwrap()
}

/// A cleartext signature.
pub(crate) fn sign(key: &Cert, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut message = signer(Message::new(&mut out), key).cleartext().build().unwrap();
    message.write_all(text.as_bytes()).unwrap();
    message.finalize().unwrap();
    out
}

/// A detached, armored signature.
pub(crate) fn sign_detached(key: &Cert, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let armored = Armorer::new(Message::new(&mut out)).kind(openpgp::armor::Kind::Signature).build().unwrap();
    let mut message = signer(armored, key).detached().build().unwrap();
    message.write_all(text.as_bytes()).unwrap();
    message.finalize().unwrap();
    out
}
