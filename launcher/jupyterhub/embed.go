// Package jupyterhub holds the Python package beside it, as far as the command line needs it.
package jupyterhub

import _ "embed"

// TraitsModule is the Python module that prints the traits of a jupyterhub_config.py as JSON. It is run with the file as its
// only argument.
//
//go:embed slipway_spawner/traits.py
var TraitsModule string
