//! Reads a TOML document into a type: first the document is compared with the type's own JSON Schema, which finds every problem
//! of shape at once and with its place, then serde reads it. The schema that editors use and the reader cannot disagree, since
//! both come from the type.

use std::ops::Range;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{FileError, Problem, Problems};
use minimg_base::suggest;

/// No array in a profile needs more elements; what is checked pairwise stays fast.
const LONGEST_ARRAY: usize = 10_000;

/// A value and where it is in the text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub struct At<T>(Spanned<T>);

impl<T> At<T> {
    /// Where it is in the text, in bytes.
    pub fn span(&self) -> Range<usize> {
        self.0.span()
    }

    /// The value.
    pub fn get(&self) -> &T {
        self.0.get_ref()
    }

    /// Puts another value in its place.
    pub fn set(&mut self, value: T) {
        *self.0.get_mut() = value;
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        T::json_schema(generator)
    }
}

/// The JSON Schema (draft 2020-12) of a type that is written in TOML. TOML has no null, so the schema has none either.
pub fn schema_of<T: JsonSchema>() -> Value {
    let mut schema =
        SchemaSettings::draft2020_12().for_deserialize().into_generator().into_root_schema_for::<T>().to_value();
    without_null(&mut schema);
    schema
}

fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(choices)) = map.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    map.remove("anyOf");
                    map.extend(only);
                }
            }
            if map.get("default").is_some_and(Value::is_null) {
                map.remove("default");
            }
            map.values_mut().for_each(without_null);
        }
        Value::Array(values) => values.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// Reads `text`, which comes from `file`.
///
/// # Errors
/// When it is not TOML, with the first problem of syntax, since those behind it tend to follow from it; or when it is not of this
/// shape, with all problems.
pub fn read<T: JsonSchema + DeserializeOwned>(file: &str, bytes: &[u8]) -> Result<(T, String), FileError> {
    let text = decode(file, bytes)?;
    let table = match DeTable::parse(&text) {
        Ok(table) => table,
        Err(error) => return Err(FileError::new(file, &text, vec![problem_of(&error)])),
    };
    let schema = schema_of::<T>();
    let mut walk = Walk { root: &schema, problems: Problems::default() };
    walk.table(table.get_ref(), table.span(), &schema, "");
    walk.problems.into_result(file, &text, ())?;
    let value = T::deserialize(toml::Deserializer::from(table));
    match value {
        Ok(value) => Ok((value, text)),
        Err(error) => Err(FileError::new(file, &text, vec![problem_of(&error)])),
    }
}

fn problem_of(error: &toml::de::Error) -> Problem {
    Problem { message: error.message().replace('\n', "; "), help: None, span: error.span() }
}

fn decode(file: &str, bytes: &[u8]) -> Result<String, FileError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| {
        let at = error.valid_up_to();
        let text = String::from_utf8_lossy(bytes).into_owned();
        let message = "this is not UTF-8, which TOML requires".to_owned();
        FileError::new(file, &text, vec![Problem { message, help: None, span: Some(at..at + 1) }])
    })
}

/// Compares a document with the schema of its type. Knows the part of JSON Schema that schemars writes for plain structs,
/// maps, arrays, numbers, strings and enums of names.
struct Walk<'s> {
    root: &'s Value,
    problems: Problems,
}

impl<'s> Walk<'s> {
    fn value(&mut self, value: &Spanned<DeValue<'_>>, schema: &'s Value, path: &str) {
        let schema = self.resolve(schema);
        let span = value.span();
        match (value.get_ref(), kind(schema)) {
            (DeValue::String(text), _) if text.contains('\0') && !is_data(schema) => {
                self.problems.add(span, format!("{} must not contain a NUL character", label(path)));
            }
            (_, None) => {}
            (DeValue::Table(table), Some("object")) => self.table(table, span, schema, path),
            (DeValue::Array(array), Some("array")) => {
                if array.len() > LONGEST_ARRAY {
                    self.problems.add(span, format!("`{path}` has more than {LONGEST_ARRAY} elements"));
                } else if let Some(items) = schema.get("items") {
                    array.iter().for_each(|item| self.element(item, items, path));
                }
            }
            (DeValue::String(text), Some("string")) => self.name(text, span, schema, path),
            (DeValue::Boolean(_), Some("boolean")) | (DeValue::Float(_), Some("number")) => {}
            (DeValue::Integer(number), Some("integer" | "number")) => {
                let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
                let least = schema.get("minimum").and_then(Value::as_i64).unwrap_or(i64::MIN);
                let most = schema.get("maximum").and_then(Value::as_i64).unwrap_or(i64::MAX);
                if number.is_none_or(|number| !(least..=most).contains(&number)) {
                    self.problems.add(span, format!("{} must be a number from {least} to {most}", label(path)));
                }
            }
            (found, Some(_)) => {
                let message = format!(
                    "{} must be {}, not {}",
                    label(path),
                    self.describe(schema),
                    with_article(found.type_str())
                );
                let help = right_form(path, found, schema);
                self.problems.add_with_help(span, message, help);
            }
        }
    }

    /// Tables in arrays go by the array's own name; of other elements it is said that they are elements.
    fn element(&mut self, value: &Spanned<DeValue<'_>>, schema: &'s Value, path: &str) {
        if self.resolve(schema).get("properties").is_some() && value.get_ref().is_table() {
            return self.value(value, schema, path);
        }
        self.value(value, schema, &format!("{path}[]"));
    }

    fn table(&mut self, table: &DeTable<'_>, span: Range<usize>, schema: &'s Value, path: &str) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        for (key, value) in table {
            let inner = if path.is_empty() { key.get_ref().to_string() } else { format!("{path}.{}", key.get_ref()) };
            match (properties.and_then(|known| known.get(key.get_ref().as_ref())), others) {
                (Some(schema), _) => self.value(value, schema, &inner),
                (None, Some(Value::Bool(false))) => self.unknown_key(key, schema, path),
                (None, Some(schema)) => self.value(value, schema, &inner),
                (None, None) => {}
            }
            if key.get_ref().contains('\0') {
                self.problems.add(key.span(), "a key contains a NUL character");
            }
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !table.contains_key(name) {
                let help = properties
                    .and_then(|known| known.get(name))
                    .and_then(|schema| self.resolve(schema).get("description"))
                    .and_then(Value::as_str)
                    .map(|text| format!("`{name}` is {}", lower_first(first_sentence(text))));
                let message = format!("`{name}` is missing in `{}`", if path.is_empty() { "the file" } else { path });
                self.problems.add_with_help(span.clone(), message, help);
            }
        }
    }

    fn unknown_key(&mut self, key: &Spanned<std::borrow::Cow<'_, str>>, schema: &Value, path: &str) {
        let wrong = key.get_ref().as_ref();
        let place = if path.is_empty() { "at the top of the file".to_owned() } else { format!("in `[{path}]`") };
        let known: Vec<&str> = schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str())
            .collect();
        let help = match (suggest::nearest(wrong, known.iter().copied()), self.home_of(wrong)) {
            (Some(near), _) => Some(format!("did you mean `{near}`?")),
            (None, Some((table, key))) if key == wrong => Some(format!("`{wrong}` belongs in `[{table}]`")),
            (None, Some((table, key))) => Some(format!("did you mean `{key}` in `[{table}]`?")),
            (None, None) => suggest::help(wrong, known.iter().copied()),
        };
        self.problems.add_with_help(key.span(), format!("unknown key `{wrong}` {place}"), help);
    }

    /// The table at the top of the file that has `key`, or else one that has a key which is near to it, and that key.
    fn home_of(&self, key: &str) -> Option<(&'s str, &'s str)> {
        let tables = self.root.get("properties")?.as_object()?;
        let keys = |schema| self.resolve(schema).get("properties").and_then(Value::as_object).into_iter().flatten();
        let homes =
            tables.iter().flat_map(|(table, schema)| keys(schema).map(|(key, _)| (table.as_str(), key.as_str())));
        let homes: Vec<(&str, &str)> = homes.collect();
        let near = suggest::nearest(key, homes.iter().map(|(_, known)| *known))?;
        homes.into_iter().find(|(_, known)| *known == near)
    }

    fn name(&mut self, text: &str, span: Range<usize>, schema: &Value, path: &str) {
        let Some(names) = choices(schema) else { return };
        if !names.contains(&text) {
            let help = suggest::help(text, names.iter().copied());
            self.problems.add_with_help(span, format!("unknown value `{text}` for `{path}`"), help);
        }
    }

    fn resolve(&self, schema: &'s Value) -> &'s Value {
        let Some(reference) = schema.get("$ref").and_then(Value::as_str) else { return schema };
        reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)).unwrap_or(schema)
    }

    fn describe(&self, schema: &Value) -> String {
        match kind(schema) {
            Some("array") => match schema.get("items").map(|items| resolve_kind(self.root, items)) {
                Some(Some("string")) => "an array of strings".to_owned(),
                Some(Some("object")) => "an array of tables".to_owned(),
                _ => "an array".to_owned(),
            },
            Some("object") => "a table".to_owned(),
            Some("integer") => "a whole number".to_owned(),
            Some("boolean") => "`true` or `false`".to_owned(),
            Some(other) => with_article(other),
            None => "something else".to_owned(),
        }
    }
}

fn resolve_kind<'s>(root: &'s Value, schema: &'s Value) -> Option<&'s str> {
    Walk { root, problems: Problems::default() }.resolve(schema).get("type").and_then(Value::as_str)
}

fn kind(schema: &Value) -> Option<&str> {
    match schema.get("type") {
        Some(kind) => kind.as_str(),
        None => choices(schema).map(|_| "string"),
    }
}

/// Whether a string goes nowhere but into and out of programs, and so may have any bytes.
fn is_data(schema: &Value) -> bool {
    schema.get("contentMediaType").and_then(Value::as_str) == Some("application/octet-stream")
}

/// The names of an enum: `enum` for plain variants, `oneOf` with `const` for those that have a description.
fn choices(schema: &Value) -> Option<Vec<&str>> {
    if let Some(names) = schema.get("enum").and_then(Value::as_array) {
        return Some(names.iter().filter_map(Value::as_str).collect());
    }
    let variants = schema.get("oneOf").and_then(Value::as_array)?;
    let mut names = Vec::new();
    for variant in variants {
        match (variant.get("const").and_then(Value::as_str), variant.get("enum").and_then(Value::as_array)) {
            (Some(name), _) => names.push(name),
            (None, Some(plain)) => names.extend(plain.iter().filter_map(Value::as_str)),
            (None, None) => return None,
        }
    }
    Some(names)
}

/// How the value would be written right: made of what is there where that is possible, else the schema's own example.
fn right_form(path: &str, found: &DeValue<'_>, schema: &Value) -> Option<String> {
    let key = path.rsplit('.').next().unwrap_or(path);
    let value = match (kind(schema), found) {
        (Some("array"), DeValue::String(text)) if ["entrypoint", "cmd", "command"].contains(&key) => {
            Value::from(text.split_whitespace().collect::<Vec<_>>())
        }
        (Some("array"), DeValue::String(text)) => Value::from(vec![text.as_ref()]),
        // A number that only needs quotes, unless it has to have a form that a number does not show, as modes do.
        (Some("string"), DeValue::Integer(number)) if key.ends_with("[]") || schema.get("pattern").is_none() => {
            Value::from(number.as_str())
        }
        (Some("boolean"), DeValue::String(text)) => Value::from(text.parse::<bool>().ok()?),
        (Some("integer"), DeValue::String(text)) => Value::from(text.parse::<u64>().ok()?),
        _ => schema.get("examples")?.get(0)?.clone(),
    };
    let value = inline(&value);
    Some(if key.ends_with("[]") { format!("write `{value}`") } else { format!("write `{key} = {value}`") })
}

/// A value as TOML writes it in one line.
fn inline(value: &Value) -> String {
    match value {
        Value::Array(values) => format!("[{}]", values.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let plain = |key: &str| key.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
            let key = |key: &String| if plain(key) { key.clone() } else { Value::from(key.as_str()).to_string() };
            let pairs: Vec<_> = map.iter().map(|(name, value)| format!("{} = {}", key(name), inline(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        other => other.to_string(),
    }
}

/// What to call the value at a path.
fn label(path: &str) -> String {
    match path.strip_suffix("[]") {
        Some(array) => format!("each element of `{array}`"),
        None => format!("`{path}`"),
    }
}

fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}

fn first_sentence(text: &str) -> &str {
    text.split(['.', ':', ';']).next().unwrap_or(text)
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}
