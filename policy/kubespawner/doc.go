// Package kubespawner turns the traits of a KubeSpawner into a SpawnPolicy, and says of each trait that has no
// place in a policy why, and what to do about it. It is pure: values in, policy and findings out.
package kubespawner
