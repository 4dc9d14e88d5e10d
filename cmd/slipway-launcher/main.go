// Command slipway-launcher creates, watches and stops the pods of hubs, which ask it by the HTTP API of package launcher/api: on a
// unix socket in the hub's pod, or by TLS with a service account's token. It exits 0 after a clean end, 2 on wrong usage, and 3
// when it could not run.
package main

import "github.com/slipway-hub/slipway/cmd/internal/server"

func main() { server.Main(newCommand()) }
