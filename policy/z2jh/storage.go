package z2jh

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/slipway-hub/slipway/policy/kubespawner"
)

// mounted is one volume or mount, under the key by which the chart sorts it.
type mounted struct {
	key  string
	item Object
}

// storage builds home, files and extra volumes, in this order: later ones replace earlier ones of the same key.
func (b *builder) storage() {
	var volumes, mounts []mounted
	switch b.text("singleuser.storage.type") {
	case "dynamic":
		volumes, mounts = b.dynamicHome()
	case "static":
		volumes, mounts = b.staticHome()
	}
	fileVolumes, fileMounts := b.files()
	volumes, mounts = append(volumes, fileVolumes...), append(mounts, fileMounts...)
	volumes = append(volumes, b.extra("singleuser.storage.extraVolumes", func(_ int, name string) string { return name })...)
	mounts = append(mounts, b.extra("singleuser.storage.extraVolumeMounts", func(i int, name string) string { return strconv.Itoa(i) + "-" + name })...)
	b.set("volumes", b.collected(volumes, "singleuser.storage.extraVolumes"), "singleuser.storage.extraVolumes")
	b.set("volume_mounts", b.collected(mounts, "singleuser.storage.extraVolumeMounts"), "singleuser.storage.extraVolumeMounts")
}

// collected is a map from chart 4.3 on, and was a list before.
func (b *builder) collected(all []mounted, at string) any {
	if !b.chart.maps() {
		list := make([]any, len(all))
		for i, m := range all {
			list[i] = m.item
		}
		return list
	}
	out := Object{}
	for _, m := range all {
		if _, twice := out.Get(m.key); twice {
			b.find(kubespawner.Warning, kubespawner.Child(at, m.key), "replaces what the chart itself makes under the key "+m.key, "give it another name if that isn't meant")
		}
		out = out.With(m.key, m.item)
	}
	return out
}

func (b *builder) dynamicHome() (volumes, mounts []mounted) {
	const at = "singleuser.storage.dynamic"
	claim := b.text(at + ".pvcNameTemplate")
	switch {
	case claim != "":
		b.set("pvc_name_template", claim, at+".pvcNameTemplate")
	case b.chart.escapes():
		b.refusef(at+".pvcNameTemplate", "must not be null or empty: before 4.0 the chart needs it, and KubeSpawner fails without")
	}
	b.set("storage_pvc_ensure", true, "singleuser.storage.type")
	for _, p := range []struct{ trait, path string }{
		{"storage_class", at + ".storageClass"}, {"storage_access_modes", at + ".storageAccessModes"}, {"storage_capacity", "singleuser.storage.capacity"},
	} {
		if v, _ := b.get(p.path); v != nil {
			b.set(p.trait, v, p.path)
		}
	}
	name := b.text(at + ".volumeNameTemplate")
	if name == "" {
		b.refusef(at+".volumeNameTemplate", "must not be null or empty: KubeSpawner fails without a volume's name")
		return nil, nil
	}
	if !b.chart.escapes() {
		claim = "{pvc_name}"
	}
	subPath, _ := b.get(at + ".subPath")
	volumes = []mounted{{name, object("name", name, "persistentVolumeClaim", object("claimName", claim))}}
	return volumes, []mounted{{name, b.homeMount(name, subPath)}}
}

func (b *builder) staticHome() (volumes, mounts []mounted) {
	const at = "singleuser.storage.static"
	claim := b.text(at + ".pvcName")
	if claim == "" {
		b.find(kubespawner.Warning, at+".pvcName", "isn't set, so that Kubernetes refuses every pod", "name the claim here, or in volumes of the policy")
	}
	subPath, _ := b.get(at + ".subPath")
	volumes = []mounted{{"home", object("name", "home", "persistentVolumeClaim", object("claimName", claim))}}
	return volumes, []mounted{{"home", b.homeMount("home", subPath)}}
}

func (b *builder) homeMount(name string, subPath any) Object {
	mount := object("name", name, "mountPath", b.text("singleuser.storage.homeMountPath"))
	if s, ok := subPath.(string); ok && s != "" {
		mount = mount.With("subPath", s)
	}
	return mount
}

var (
	secretKey  = regexp.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`)
	serialised = regexp.MustCompile(`\.(yaml|yml|json|toml)$`)
)

// files mounts each of extraFiles from the chart's Secret, which holds their content.
func (b *builder) files() (volumes, mounts []mounted) {
	const at = "singleuser.extraFiles"
	v, _ := b.get(at)
	all, _ := v.(Object)
	if len(all) == 0 {
		return nil, nil
	}
	secret := b.inNamespace("singleuser")
	var items []any
	for i, m := range all {
		here := kubespawner.Child(at, m.Key)
		file, _ := m.Value.(Object)
		path, _ := file.Get("mountPath")
		b.checkFile(m.Key, file, here)
		item := object("key", m.Key, "path", m.Key)
		if mode, has := file.Get("mode"); has {
			item = item.With("mode", mode)
		}
		items = append(items, item)
		mounts = append(mounts, mounted{strconv.Itoa(i) + "-files", object("name", "files", "mountPath", path, "subPath", m.Key)})
	}
	b.find(kubespawner.Note, at, fmt.Sprintf("the content of %d file(s) stays in the Secret %s, which the policy mounts", len(all), secret),
		"keep the chart's Secret, or make one of this name with the same keys")
	return []mounted{{"files", object("name", "files", "secret", object("secretName", secret, "items", items))}}, mounts
}

func (b *builder) checkFile(key string, file Object, at string) {
	contents := 0
	for _, kind := range []string{"data", "stringData", "binaryData"} {
		if _, has := file.Get(kind); has {
			contents++
		}
	}
	path, _ := file.Get("mountPath")
	s, _ := path.(string)
	_, structured := file.Get("data")
	switch {
	case !secretKey.MatchString(key):
		b.refusef(at, "is no legal key of a Secret: letters, digits, -, _ and . only")
	case contents > 1:
		b.refusef(at, "must have exactly one of data, stringData and binaryData, and has %d: Helm refuses it", contents)
	case contents == 0:
		b.find(kubespawner.Warning, at, "has no content (data, stringData or binaryData) in these values, without which Helm refuses it",
			"it may be in another values file, a secret one; the policy needs only where it is mounted")
	case structured && !serialised.MatchString(s):
		b.refusef(at+".mountPath", "must end in .yaml, .yml, .json or .toml where data is a map: Helm refuses it")
	}
}

// extra reads extraVolumes or extraVolumeMounts: a map of items by key, or a list whose items get a key.
func (b *builder) extra(path string, key func(i int, name string) string) []mounted {
	v, _ := b.get(path)
	var all []mounted
	take := func(key string, v any, at string) {
		item, ok := v.(Object)
		if !ok {
			b.refusef(at, "must be a map, not %s", named(v))
			return
		}
		all = append(all, mounted{key, item})
	}
	switch v := v.(type) {
	case Object:
		if !b.chart.maps() {
			b.refusef(path, "must be a list: a map is understood by the chart from 4.3 on")
		}
		for _, m := range v {
			take(m.Key, m.Value, kubespawner.Child(path, m.Key))
		}
	case []any:
		for i, item := range v {
			at := kubespawner.Index(path, i)
			o, _ := item.(Object)
			name, _ := o.Get("name")
			s, ok := name.(string)
			if !ok {
				b.refusef(at, "needs name: the hub fails to start without it")
				continue
			}
			take(key(i, s), item, at)
		}
	}
	return all
}
