package policy

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// metadata is who is behind a leaf of the pod's metadata.
func (t *fieldTrace) metadata(segments []string) []Origin {
	if len(segments) == 1 {
		return t.names(segments[0], "podNameTemplate")
	}
	key := strings.Trim(segments[1], "[]")
	if segments[0] == "annotations" {
		return t.annotation(key, "extraAnnotations")
	}
	return t.label(key, t.x.s.ExtraLabels, "extraLabels")
}

// names is who is behind an object's name, or its namespace.
func (t *fieldTrace) names(field, template string) []Origin {
	if field == "name" {
		return t.setting(template, nil)
	}
	if setting, text := t.x.namespaceSetting(); text != nil {
		return t.setting(setting, nil)
	}
	return []Origin{{Layer: layerIdentity}}
}

// label: what says whose the object is goes first, then the common labels, then those of a setting.
func (t *fieldTrace) label(key string, extra map[string]string, setting string) []Origin {
	switch {
	case IsIdentityLabel(key):
		return []Origin{{Layer: layerIdentity}}
	case key == LabelClaim:
		return []Origin{{Layer: layerBuiltIn}}
	case key == labelComponent, key == labelComponentNew:
		return t.setting("componentLabel", nil)
	}
	_, isExtra := extra[key]
	common, isCommon := t.x.s.CommonLabels[key]
	switch {
	case isExtra && isCommon && common != extra[key]:
		return t.settings([]string{"commonLabels", setting}, []string{"metadata", "labels", "[" + key + "]"})
	case isExtra:
		return t.keyed(setting, key)
	case isCommon:
		return t.keyed("commonLabels", key)
	}
	return []Origin{{Layer: layerSent}}
}

func (t *fieldTrace) annotation(key, setting string) []Origin {
	switch {
	case IsIdentityAnnotation(key):
		return []Origin{{Layer: layerIdentity}}
	case key == AnnotationApplied:
		return []Origin{{Layer: layerBuiltIn}}
	case key == AnnotationConnect:
		return t.settings([]string{"podConnectIp", "servicesEnabled", "internalSsl", "dnsNameTemplate"}, nil)
	}
	if by := t.keyed(setting, key); len(by) > 0 {
		return by
	}
	return []Origin{{Layer: layerSent}}
}

// keyed is who gave one key of a setting; nil where nobody did.
func (t *fieldTrace) keyed(setting, key string) []Origin {
	if by := t.said.below[setting]; by != nil && by.below[key] != nil {
		return by.below[key].by
	}
	return nil
}

// claim is who is behind a leaf of the home claim, or of the one that the setting claims has by this key.
func (t *fieldTrace) claim(key string, segments []string) []Origin {
	if key != "" {
		return t.moreClaim(key, segments)
	}
	switch path := joined(segments); {
	case segments[0] == "metadata" && len(segments) == 2:
		return t.names(segments[1], "pvcNameTemplate")
	case path == "metadata.labels["+labelComponent+"]":
		return []Origin{{Layer: layerBuiltIn}}
	case path == "metadata.annotations["+corev1.BetaStorageClassAnnotation+"]" && t.x.s.StorageClass != nil:
		return t.setting("storageClass", nil)
	case segments[1] == "labels":
		return t.label(strings.Trim(segments[2], "[]"), t.x.s.StorageExtraLabels, "storageExtraLabels")
	case segments[1] == "annotations":
		return t.annotation(strings.Trim(segments[2], "[]"), "storageExtraAnnotations")
	case segments[1] == "selector":
		return t.said.at(append([]string{"storageSelector"}, keysIn(segments[2:])...))
	}
	return t.setting(map[string]string{
		"accessModes": "storageAccessModes", "resources": "storageCapacity", "storageClassName": "storageClass",
	}[segments[1]], nil)
}

func (t *fieldTrace) moreClaim(key string, segments []string) []Origin {
	own := func(below ...string) []Origin {
		if by := t.said.below["claims"]; by != nil {
			return by.at(append([]string{key}, below...))
		}
		return nil
	}
	switch segments[1] {
	case "name":
		return own("nameTemplate")
	case "namespace":
		return t.names("namespace", "")
	case "labels":
		label := strings.Trim(segments[2], "[]")
		if label == labelComponent {
			return []Origin{{Layer: layerBuiltIn}}
		}
		if slices.Contains([]string{LabelClaim, LabelHub, LabelUsername, LabelServername, labelComponentNew}, label) || t.x.s.CommonLabels[label] != "" {
			return t.label(label, nil, "")
		}
		return own("extraLabels", label)
	case "annotations":
		if annotation := strings.Trim(segments[2], "[]"); !IsIdentityAnnotation(annotation) {
			return own("extraAnnotations", annotation)
		}
		return []Origin{{Layer: layerIdentity}}
	case "resources":
		return own("storageCapacity")
	case "selector":
		return own(append([]string{"selector"}, keysIn(segments[2:])...)...)
	}
	return own(segments[1])
}

// keysIn are segments without brackets.
func keysIn(segments []string) []string {
	keys := make([]string, len(segments))
	for i, s := range segments {
		keys[i] = strings.Trim(s, "[]")
	}
	return keys
}
