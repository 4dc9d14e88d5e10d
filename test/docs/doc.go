// Package docs holds the documentation to what is true: each command in it is run and its output compared, and each link followed.
//
// In every Markdown file of the repository:
//
//   - A block ```console is a session. A line that begins with "$ " is a command (a line that ends in \ goes on in the next one, <<EOF
//     ends at EOF), what follows is its output, both streams together. A line with nothing but … stands for lines that are left out. The
//     commands of a page run in order, in a copy of the repository, with bin/ in PATH. What changes from run to run is taken
//     no notice of: see volatile in output_test.go.
//   - A block ```console cluster is one whose commands need a cluster: KUBECONFIG names a real API server with the chart's admission
//     policies and the real webhook, and the file hub.kubeconfig is that of the account jupyter/hub.
//   - In a block ```sh and in the text nothing is run, but commands, flags, make targets, charts and values files have to be there.
//   - A relative link has to lead to a file, and its #fragment to a heading. Other links have to be https.
//
// go test ./test/docs -update writes the outputs anew. A block with … whose output is another one gets the whole of it.
package docs
