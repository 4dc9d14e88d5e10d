package policy

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// Three places know every setting: the API, the typed form and the definitions.
func TestEverySettingIsKnownEverywhere(t *testing.T) {
	api := slices.Sorted(maps.Keys(allJSONFields(reflect.TypeFor[v1alpha1.Server]())))
	assert.Equal(t, api, slices.Sorted(maps.Keys(settingFields)))
	assert.Equal(t, api, slices.Sorted(maps.Keys(definitions)))
	for name := range builtIn() {
		assert.Contains(t, definitions, name)
	}
}

// What shapes the pod must be put there, and be asserted; the rest shapes names, claims and metadata, where merging
// is the last word.
func TestEverySettingThatShapesThePodIsPut(t *testing.T) {
	elsewhere := []string{
		"ip", "defaultUrl", "notebookDir", "debug", "disableUserConfig", // become environment
		"storagePvcEnsure", "storageCapacity", "storageClass", "storageAccessModes", "storageSelector",
		"storageExtraLabels", "storageExtraAnnotations", "claims", // claims
		"slugScheme", "podNameTemplate", "pvcNameTemplate", "secretNameTemplate", "dnsNameTemplate", "podConnectIp",
		"handleLegacyNames", "rememberPvcName", "servicesEnabled", // names
		"namespace", "enableUserNamespaces", "userNamespaceTemplate", "userNamespaceLabels", "userNamespaceAnnotations",
		"internalSsl", "secretMountPath", // certificates.go
		"componentLabel", "commonLabels", "extraLabels", "extraAnnotations", // identity.go
	}
	put := slices.Clone(elsewhere)
	for _, p := range putters {
		put = append(put, p.setting)
	}
	slices.Sort(put)
	assert.Equal(t, slices.Sorted(maps.Keys(definitions)), put)
}
