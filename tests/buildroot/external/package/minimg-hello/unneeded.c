int nobody(void);

int nobody(void)
{
	return 0;
}
