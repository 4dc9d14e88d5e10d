package policy

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Companions are what has to exist beside a server's pod.
type Companions struct {
	// Claims are all that policy makes for the server, the home first. The pod needs those that its volumes name.
	Claims []*corev1.PersistentVolumeClaim
	// Service is nil where the server needs none. Whoever creates it makes the pod its owner.
	Service *corev1.Service

	identity        Identity
	adoptUnlabelled bool
}

// Companions computes what a pod needs that was fitted and stored, by the policies of today. in.Identity and in.Refused are the
// pod's; of the rest Namespace and Claims count. The claims keep the names that were chosen when the pod was fitted.
func (c *Compiled) Companions(in Input, pod *corev1.Pod) (Companions, []Denial) {
	applied, unread := appliedTo(pod)
	switch {
	case unread != nil:
		return Companions{}, []Denial{*unread}
	case len(in.Refused) > 0:
		return Companions{}, in.Refused
	}
	in.Claim, in.MoreClaims, in.Caller, in.Sent, in.Surplus, in.Shape = &applied.Claim, applied.Claims, "", nil, nil, nil
	x, denials, _ := c.prepare(&in)
	if len(denials) > 0 {
		return Companions{}, denials
	}
	if denials := x.expand(); len(denials) > 0 {
		return Companions{}, denials
	}
	found := Companions{Claims: x.buildMoreClaims(), identity: in.Identity, adoptUnlabelled: x.plan.adoptUnlabelled}
	if home := x.buildClaim(); home != nil {
		found.Claims = append([]*corev1.PersistentVolumeClaim{home}, found.Claims...)
	}
	if isTrue(x.s.ServicesEnabled) || isTrue(x.s.InternalSSL) {
		found.Service = x.buildService(pod, &applied)
	}
	return found, nil
}

// Own says whether a claim that exists is this server's user's, by what it says itself: the companion wrote the hub label, or
// policy lets claims without one be adopted. What says nothing may be anybody's, and is used but never changed.
func (c *Companions) Own(claim metav1.Object) bool {
	if claim.GetAnnotations()[AnnotationUsername] != c.identity.User {
		return false
	}
	hub, labelled := claim.GetLabels()[LabelHub]
	if labelled {
		return hub == c.identity.Hub
	}
	return c.adoptUnlabelled
}

// notebookPort is the name of the port that the server listens at.
const notebookPort = "notebook-port"

// buildService gives the Service by whose name the hub reaches the server; nil where the pod has no port to reach. It selects the
// pod by the labels that policy gave it, which don't change while it runs.
func (x *server) buildService(pod *corev1.Pod, applied *Applied) *corev1.Service {
	nb := notebook(pod)
	if nb == nil {
		return nil
	}
	at := slices.IndexFunc(nb.Ports, func(p corev1.ContainerPort) bool { return p.Name == notebookPort })
	if at < 0 {
		return nil
	}
	port := nb.Ports[at].ContainerPort
	s := &corev1.Service{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{
			Name: pod.Name, Namespace: x.in.Namespace.Name,
			Labels: x.commonLabels(x.s.ExtraLabels), Annotations: x.commonAnnotations(x.s.ExtraAnnotations),
		},
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeClusterIP,
			Ports:    []corev1.ServicePort{{Name: "http", Port: port, TargetPort: intstr.FromInt32(port)}},
			Selector: map[string]string{},
		},
	}
	s.Labels[LabelHub] = x.in.Identity.Hub
	for _, key := range slices.Concat(identityLabels, applied.Labels) {
		if value, has := pod.Labels[key]; has {
			s.Spec.Selector[key] = value
		}
	}
	return s
}

// KeepsClaim says why a claim may not be deleted for in.Caller, who asked for it, in words for everybody; "": it may be. Of in.Identity
// hub, user and server count: a claim doesn't say of which groups its user is, so what only holds for some groups never lets it.
func (c *Compiled) KeepsClaim(in Input) string {
	var policies []*compiledPolicy
	for _, p := range c.policies {
		if c.concerns(p, &in) {
			policies = append(policies, p)
		}
	}
	if groups, mapped := groupsOf(policies, &in); mapped {
		policies = slices.DeleteFunc(policies, func(p *compiledPolicy) bool { return len(p.spec.Groups) > 0 && !intersects(p.spec.Groups, groups) })
	}
	said := false
	for _, p := range policies {
		switch deletes := p.spec.DeleteClaims; {
		case len(p.errs) > 0:
			return p.ref.String() + " is invalid: see its status"
		case deletes == nil:
		case !*deletes:
			return p.ref.String() + " says deleteClaims: false"
		case len(p.spec.Groups) == 0 && len(p.conditions) == 0:
			said = true
		}
	}
	if !said {
		return fmt.Sprintf("no policy for user %q of hub %q says deleteClaims: true, without groups and matchConditions", in.Identity.User, in.Identity.Hub)
	}
	if denials := checkCaller(policies, &in, in.Caller, nil); len(denials) > 0 {
		return denials[0].String()
	}
	return ""
}
