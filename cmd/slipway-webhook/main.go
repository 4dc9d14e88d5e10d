// Command slipway-webhook is the admission server: it fits out the pods of hubs by the cluster's policies. It exits 0
// after a clean end, 2 on wrong usage, and 3 when it could not serve.
package main

import "github.com/slipway-hub/slipway/cmd/internal/server"

func main() { server.Main(newCommand()) }
