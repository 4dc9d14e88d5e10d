// Package v1alpha1 holds Slipway's API: SpawnPolicy and ClusterSpawnPolicy, and the settings that both carry.
//
// +kubebuilder:object:generate=true
// +groupName=slipway.dev
package v1alpha1
