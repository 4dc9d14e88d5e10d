c = get_config()  # noqa: F821
raise RuntimeError("boom")
