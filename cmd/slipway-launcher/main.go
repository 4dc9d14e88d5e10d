// Command slipway-launcher is to create, watch and stop the pods of hubs, by an HTTP API that doesn't exist yet. So far it
// finds out whether its account has the rights for that, which readiness tells. It exits 0 after a clean end, 2 on wrong
// usage, and 3 when it could not run.
package main

import "github.com/slipway-hub/slipway/cmd/internal/server"

func main() { server.Main(newCommand()) }
