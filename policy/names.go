package policy

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Names are those that policy gives a server in the namespace of in, whoever launches it: a launcher has to send the skeleton by the
// right name. Claims aren't looked at, so the claim's is the template's own. Denials say why the server has no names.
func (c *Compiled) Names(in Input) (Names, []Denial) {
	in.anyCaller, in.Claims, in.Claim = true, nil, nil
	in.Identity.Name, in.Identity.EnvSecret = "", ""
	x, denials, _ := c.prepare(&in)
	if len(denials) > 0 {
		return Names{}, denials
	}
	if denials := append(x.compute(), x.expandNames()...); len(denials) > 0 {
		return Names{}, denials
	}
	return x.names, nil
}

// ClaimNames are the claims that policy gives a server in the namespace of in, whoever launches it: the names by the templates, by the
// keys of the setting claims, "" for the home. Claims that exist aren't looked at. Denials say why the server has none.
func (c *Compiled) ClaimNames(in Input) (map[string]string, []Denial) {
	in.anyCaller, in.Claims, in.Claim, in.MoreClaims = true, nil, nil, nil
	in.Identity.Name, in.Identity.EnvSecret = "", ""
	x, denials, _ := c.prepare(&in)
	if len(denials) > 0 {
		return nil, denials
	}
	if denials := x.expand(); len(denials) > 0 {
		return nil, denials
	}
	names := map[string]string{"": x.names.Claim}
	for _, claim := range x.moreClaims {
		names[claim.key] = claim.own
	}
	return names, nil
}

// expandNames gives the server its names, in upstream's order: each may use those before it.
func (x *server) expandNames() []Denial {
	var denials []Denial
	expand := func(setting string, text *string, into *string) {
		name, err := x.expandText(deref(text))
		if err != nil {
			denials = append(denials, denyf(TemplateInvalid, nil, setting, "%v", err))
			return
		}
		*into = name
	}
	x.names.Namespace = x.in.Namespace.Name
	if setting, text := x.namespaceSetting(); text != nil {
		expand(setting, text, &x.names.Namespace)
	}
	expand("podNameTemplate", x.s.PodNameTemplate, &x.names.Pod)
	expand("dnsNameTemplate", x.s.DNSNameTemplate, &x.names.DNS)
	expand("secretNameTemplate", x.s.SecretNameTemplate, &x.names.Secret)
	expand("pvcNameTemplate", x.s.PVCNameTemplate, &x.names.Claim)
	if len(denials) > 0 {
		return denials
	}
	if d := x.chooseClaim(); d != nil {
		denials = append(denials, *d)
	}
	if host, err := x.connectHost(); err != nil {
		denials = append(denials, denyf(TemplateInvalid, nil, "podConnectIp", "%v", err))
	} else if host != "" {
		x.names.DNS = host
	}
	return append(denials, x.checkNames()...)
}

// connectHost is podConnectIp, expanded for each part between dots, as upstream; "" where it isn't set.
func (x *server) connectHost() (string, error) {
	text := deref(x.s.PodConnectIP)
	if !isTemplate(text) {
		return text, nil
	}
	parts := strings.Split(text, ".")
	for i, p := range parts {
		t, err := parseTemplate(p, placeholders)
		if err != nil {
			return "", err
		}
		if parts[i], err = t.expand(x.value); err != nil {
			return "", err
		}
	}
	return strings.Join(parts, "."), nil
}

// checkNames holds the skeleton's own name against the policy's, so that a hub can't put one user's server where
// another's is looked for.
func (x *server) checkNames() []Denial {
	var denials []Denial
	if name := x.in.Identity.Name; name != "" && name != x.names.Pod {
		denials = append(denials, denyf(NameMismatch, nil, "metadata.name",
			"the pod is called %q, but podNameTemplate %q gives %q for user %q and server %q",
			name, deref(x.s.PodNameTemplate), x.names.Pod, x.in.Identity.User, x.in.Identity.Server))
	}
	if x.names.Namespace != x.in.Namespace.Name {
		setting, _ := x.namespaceSetting()
		denials = append(denials, denyf(NameMismatch, nil, fieldNamespace,
			"the pod is in namespace %q, but %s gives %q", x.in.Namespace.Name, setting, x.names.Namespace))
	}
	if secret := x.in.Identity.EnvSecret; secret != "" && !isEnvSecretOf(secret, x.names.Pod) {
		denials = append(denials, denyf(IdentityInvalid, nil, "metadata.annotations["+AnnotationEnvSecret+"]",
			"names Secret %q: the Secret with the environment of this pod is called %s-env- and 8 of a to z and 0 to 9", secret, x.names.Pod))
	}
	if problems := validation.IsDNS1123Subdomain(x.names.Pod); len(problems) > 0 {
		denials = append(denials, denyf(NameMismatch, nil, "podNameTemplate", "gives %q, which is no name for a pod: %s", x.names.Pod, inShort(problems)))
	}
	if problems := validation.IsDNS1123Subdomain(x.names.Claim); isTrue(x.s.StoragePVCEnsure) && len(problems) > 0 {
		denials = append(denials, denyf(NameMismatch, nil, "pvcNameTemplate", "gives %q, which is no name for a claim: %s", x.names.Claim, inShort(problems)))
	}
	return denials
}

// isEnvSecretOf: a launcher can't have its pod read any other Secret of the namespace, another server's above all.
func isEnvSecretOf(secret, pod string) bool {
	random, ok := strings.CutPrefix(secret, pod+"-env-")
	const length = 8
	return ok && len(random) == length && strings.Trim(random, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func isTrue(b *bool) bool { return b != nil && *b }
