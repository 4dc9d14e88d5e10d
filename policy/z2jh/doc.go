// Package z2jh turns the values of the Zero-to-JupyterHub Helm chart into a SpawnPolicy: values over the chart's own
// defaults, from them the traits that the chart sets, and from those the policy. It is pure: bytes in, policy and findings out.
package z2jh
