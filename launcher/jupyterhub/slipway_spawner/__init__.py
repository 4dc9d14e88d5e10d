"""JupyterHub's side of Slipway."""
