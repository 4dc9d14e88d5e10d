package policy

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// audits are specs of audited policies, each of which would change or deny something if it had a say.
var audits = map[string]string{
	"defaults":         "{defaults: {image: audited, cmd: [audited], nodeSelector: {a: b}}}",
	"enforced":         "{enforced: {image: audited, memLimit: 1Gi, privileged: false}}",
	"launchers":        "{launchers: [{serviceAccount: {namespace: other, name: other}}]}",
	"skeleton":         "{skeleton: Strict}",
	"additions":        "{additions: {mode: Deny}}",
	"hubEnv":           "{hubEnv: [NOTHING]}",
	"metadata":         "{metadata: {allow: [none], deny: ['*']}}",
	"profiles":         "{profiles: [{slug: small, settings: {image: audited}}]}",
	"constraints":      "{constraints: {image: {allow: [none]}, memLimit: {max: 1Mi}, podSecurity: restricted}}",
	"adoptClaims":      "{adoptClaims: Unlabelled}",
	"an invalid one":   `{defaults: {workingDir: "/home/{usernam}"}}`,
	"an invalid whole": "{defaults: {volumes: {a: {name: b, emptyDir: {}}, c: {name: b, emptyDir: {}}}}}",
}

func audited(spec string) string { return strings.Replace(spec, "{", "{enforcement: Audit, ", 1) }

// Nothing that is done may depend on an audited policy, not even a byte of the annotation.
func TestWhatIsDoneIsDoneAsThoughAuditedPoliciesWereNotThere(t *testing.T) {
	enforced := baseline + namespaced("lab", `{defaults: {image: "quay.io/a:1", memLimit: 2Gi, environment: {A: b}}, profiles: [{slug: small}, {slug: big, settings: {memLimit: 4Gi}}]}`)
	for _, kept := range []bool{false, true} {
		in := aliceIn("research")
		if kept {
			enforced = keeping + namespaced("lab", "{defaults: {image: filled}, enforced: {memLimit: 2Gi}}")
			in = keptInput(t, nil)
		}
		alone := Compile(decoded(t, enforced))
		want := fitted(t, alone, in)
		for name, spec := range audits {
			for kind, document := range map[string]string{"cluster": clusterwide("audit", audited(spec)), "namespace": namespaced("audit", audited(spec))} {
				t.Run(name+" "+kind, func(t *testing.T) {
					c := Compile(decoded(t, enforced+document))
					got := fitted(t, c, in)
					require.NotNil(t, got.Audit)
					got.Audit = nil
					assert.Equal(t, want, got)
					asked := in
					asked.Provenance = true
					assert.Equal(t, fitted(t, alone, asked).Provenance, fitted(t, c, asked).Provenance)

					denials, known := c.Verify(in, asStored(t, want.Pod))
					assert.True(t, known)
					assert.Empty(t, denials)
				})
			}
		}
	}
}

func TestDenialsStayWhatTheyAreBesideAuditedPolicies(t *testing.T) {
	in := aliceIn("research")
	in.Caller = "system:serviceaccount:other:other"
	in.Refused = []Denial{{Code: SkeletonNotBare, Field: "metadata.finalizers"}}
	want := denied(t, compiled(t, baseline), in)
	r, err := compiled(t, baseline+clusterwide("audit", audited(audits["launchers"]))).Apply(in)
	require.NoError(t, err)
	assert.Equal(t, want, r.Denials)
	assert.Nil(t, r.Pod)
	assert.Equal(t, AuditUnchanged, r.Audit.Outcome(), "nothing more would be denied")
}

// changesOf are the report's differences, one a line.
func changesOf(r *AuditReport) []string {
	var lines []string
	for _, d := range r.Differences {
		lines = append(lines, string(d.Change)+" "+d.Path)
	}
	slices.Sort(lines)
	return lines
}

func reasonsOf(denials []Denial) []string {
	var reasons []string
	for _, d := range denials {
		by := ""
		if d.Policy != nil {
			by = " " + d.Policy.Name
		}
		reasons = append(reasons, string(d.Code)+" "+d.Field+by)
	}
	return reasons
}

// reportCase is an audited policy beside others, and what it would do.
type reportCase struct {
	policies string
	audit    string // spec of a ClusterSpawnPolicy called audit
	change   func(*Input)
	outcome  AuditOutcome
	changes  []string
	denials  []string
	lifted   []string
}

func reportCases() map[string]reportCase {
	built := baseline + namespaced("lab", `{defaults: {image: "quay.io/a:1", cmd: [a, b], memLimit: 2Gi, environment: {A: b, C: d},
		nodeSelector: {disk: ssd, zone: a}, tolerations: [{key: a}], volumes: {home: {emptyDir: {}}}, volumeMounts: {home: {mountPath: /home}}}}`)
	withHome := baseline + namespaced("lab", "{defaults: {image: a, storagePvcEnsure: true, storageCapacity: 1Gi}}")
	return map[string]reportCase{
		"nothing":                {policies: built, audit: "{defaults: {image: 'quay.io/a:1'}}", outcome: AuditUnchanged},
		"an image":               {policies: built, audit: "{enforced: {image: b}}", changes: []string{"changed spec.containers[notebook].env[JUPYTER_IMAGE].value", "changed spec.containers[notebook].env[JUPYTER_IMAGE_SPEC].value", "changed spec.containers[notebook].image"}},
		"a pull policy":          {policies: built, audit: "{enforced: {imagePullPolicy: Always}}", changes: []string{"added spec.containers[notebook].imagePullPolicy"}},
		"a list in order":        {policies: built, audit: "{enforced: {cmd: [b, a]}}", changes: []string{"changed spec.containers[notebook].args[0]", "changed spec.containers[notebook].args[1]"}},
		"another length":         {policies: built, audit: "{enforced: {cmd: [a]}}", changes: []string{"changed spec.containers[notebook].args"}},
		"keys of a map":          {policies: built, audit: "{enforced: {nodeSelector: {disk: hdd, pool: users}, unset: ['nodeSelector[zone]']}}", changes: []string{"added spec.nodeSelector[pool]", "changed spec.nodeSelector[disk]", "removed spec.nodeSelector[zone]"}},
		"all of a map":           {policies: built, audit: "{enforced: {unset: [nodeSelector]}}", changes: []string{"removed spec.nodeSelector[disk]", "removed spec.nodeSelector[zone]"}},
		"another toleration":     {policies: built, audit: "{enforced: {tolerations: [{key: b}]}}", changes: []string{"changed spec.tolerations[0]"}},
		"one toleration more":    {policies: built, audit: "{enforced: {tolerations: [{key: a}, {key: b}]}}", changes: []string{"added spec.tolerations[1]"}},
		"a kind of volume":       {policies: built, audit: "{enforced: {volumes: {home: {configMap: {name: a}}}}}", changes: []string{"added spec.volumes[home].configMap", "removed spec.volumes[home].emptyDir"}},
		"a container":            {policies: built, audit: "{enforced: {initContainers: {a: {image: b}}}}", changes: []string{"added spec.initContainers[a]"}},
		"a variable":             {policies: built, audit: "{enforced: {environment: {A: '', E: f}, unset: ['environment[C]']}}", changes: []string{"added spec.containers[notebook].env[E]", "changed spec.containers[notebook].env[A].value", "removed spec.containers[notebook].env[C]"}},
		"a label":                {policies: built, audit: "{enforced: {extraLabels: {team: red}, extraAnnotations: {note: a}}}", changes: []string{"added metadata.annotations[note]", "added metadata.labels[team]"}},
		"privileges":             {policies: built, audit: "{enforced: {privileged: true}}", changes: []string{"added spec.containers[notebook].securityContext.privileged"}},
		"a claim":                {policies: withHome, audit: "{enforced: {storageCapacity: 2Gi, storageClass: fast, storageExtraLabels: {a: b}}}", changes: []string{"added claim.metadata.annotations[volume.beta.kubernetes.io/storage-class]", "added claim.metadata.labels[a]", "added claim.spec.storageClassName", "changed claim.spec.resources.requests[storage]"}},
		"no claim":               {policies: withHome, audit: "{enforced: {storagePvcEnsure: false}}", changes: []string{"removed claim"}},
		"a claim where was none": {policies: built, audit: "{enforced: {storagePvcEnsure: true, storageCapacity: 1Gi}}", changes: []string{"added claim"}},
		"a constraint, and differences": {
			policies: built, audit: "{enforced: {memLimit: 3Gi}, constraints: {memLimit: {max: 1Gi}}}",
			denials: []string{"ConstraintViolated spec.containers audit"},
			changes: []string{"changed spec.containers[notebook].env[MEM_LIMIT].value", "changed spec.containers[notebook].resources.limits[memory]"},
		},
		"another launcher": {policies: built, audit: audits["launchers"], denials: []string{"LauncherNotAllowed spec.launchers audit"}},
		"an invalid one":   {policies: built, audit: audits["an invalid one"], denials: []string{"PolicyInvalid spec.defaults.workingDir audit"}},
		"a profile twice":  {policies: built + namespaced("p", "{profiles: [{slug: small}]}"), audit: audits["profiles"], denials: []string{"PolicyInvalid spec.profiles[0].slug p"}},
		"a bounded skeleton": {
			policies: strings.Replace(built, "hubEnv:", "skeleton: Strip\n  hubEnv:", 1), audit: "{skeleton: Strict}", change: func(in *Input) { in.Surplus = []string{"spec.hostPID"} },
			denials: []string{"SkeletonNotBare spec.hostPID"},
		},
		"what would be admitted": {
			policies: strings.Replace(built, "launchers:", "users: ['*'] #", 1), audit: "{launchers: [{serviceAccount: {namespace: jupyter, name: hub}}]}",
			outcome: AuditAdmitted, lifted: []string{"LauncherNotAllowed spec.launchers"},
		},
		"what would be denied otherwise": {
			policies: baseline + namespaced("lab", "{launchers: [{serviceAccount: {namespace: a, name: b}}]}"), audit: "{launchers: [{serviceAccount: {namespace: c, name: d}}]}",
			denials: []string{"LauncherNotAllowed spec.launchers audit"},
		},
		"groups by the cluster": {
			policies: baseline + namespaced("staff", "{groups: [staff], defaults: {image: staff}}"), audit: "{groupMap: {staff: [alice]}}",
			outcome: AuditChanged, changes: []string{
				"changed spec.containers[notebook].env[JUPYTER_IMAGE].value", "changed spec.containers[notebook].env[JUPYTER_IMAGE_SPEC].value", "changed spec.containers[notebook].image",
			},
		},
	}
}

func TestTheReportSaysWhatWouldBeOtherwise(t *testing.T) {
	for name, c := range reportCases() {
		t.Run(name, func(t *testing.T) {
			in := aliceIn("research")
			if c.change != nil {
				c.change(&in)
			}
			r, err := Compile(decoded(t, c.policies+clusterwide("audit", audited(c.audit)))).Apply(in)
			require.NoError(t, err)
			require.NotNil(t, r.Audit)
			if c.outcome == "" {
				c.outcome = AuditChanged
				if c.denials != nil {
					c.outcome = AuditDenied
				}
			}
			assert.Equal(t, c.outcome, r.Audit.Outcome())
			assert.Equal(t, []PolicyRef{{Name: "audit"}}, r.Audit.Policies)
			assert.Equal(t, c.changes, changesOf(r.Audit))
			assert.Equal(t, c.denials, reasonsOf(r.Audit.Denials))
			assert.Equal(t, c.lifted, reasonsOf(r.Audit.Lifted))
		})
	}
}

func TestThereIsNoReportWhereNoAuditedPolicyMatches(t *testing.T) {
	for name, document := range map[string]string{
		"another namespace": strings.Replace(namespaced("a", audited(audits["enforced"])), "research", "elsewhere", 1),
		"another hub":       clusterwide("a", "{enforcement: Audit, hubs: [other]}"),
		"another group":     clusterwide("a", "{enforcement: Audit, groups: [staff]}"),
		"an enforced one":   namespaced("a", "{enforcement: Enforce}"),
	} {
		t.Run(name, func(t *testing.T) {
			assert.Nil(t, fitted(t, compiled(t, baseline+document), aliceIn("research")).Audit)
			denials := denied(t, compiled(t, strings.Replace(baseline, "hubs: [main]\n", "hubs: [other]\n", 1)+document+namespaced("none", "{hubs: [other]}")), aliceIn("elsewhere2"))
			assert.Equal(t, NoPolicy, denials[0].Code)
		})
	}
}

const auditOnly = "\n---\napiVersion: slipway.dev/v1alpha1\nkind: ClusterSpawnPolicy\nmetadata: {name: hub}\nspec:\n  enforcement: Audit\n" +
	"  launchers: [{serviceAccount: {namespace: jupyter, name: hub}}]\n  skeleton: Keep\n"

func TestAPodThatAuditedPoliciesAloneMatchStaysAsItIs(t *testing.T) {
	for name, spec := range audits {
		t.Run(name, func(t *testing.T) {
			c := Compile(decoded(t, auditOnly+clusterwide("more", audited(spec))))
			in := keptInput(t, nil)
			in.Caller = "system:serviceaccount:anybody:else"
			before := in.Sent.DeepCopy()
			r := fitted(t, c, in)
			assert.True(t, r.Untouched)
			assert.Same(t, in.Sent, r.Pod)
			assert.Equal(t, before, in.Sent)
			assert.Nil(t, r.Claim)
			assert.Equal(t, AuditDenied, r.Audit.Outcome())

			denials, known := c.Verify(in, in.Sent)
			assert.True(t, known)
			assert.Empty(t, denials)
		})
	}
}

func TestTheReportNamesExactlyWhatKeepWouldChange(t *testing.T) {
	for name, c := range map[string]struct {
		spec    string
		change  func(*corev1.Pod)
		surplus []string
		changes []string
	}{
		"nothing":                       {spec: "{}"},
		"defaults that it has all":      {spec: "{defaults: {image: other, memLimit: 1Gi, nodeSelector: {disk: policy}}}"},
		"a default that it lacks":       {spec: "{defaults: {nodeSelector: {pool: users}, uid: 1000}}", changes: []string{"added spec.containers[notebook].securityContext.runAsUser", "added spec.nodeSelector[pool]"}},
		"a limit, and what follows it":  {spec: "{enforced: {memLimit: 2Gi}}", changes: []string{"changed spec.containers[notebook].env[MEM_LIMIT].value", "changed spec.containers[notebook].resources.limits[memory]", "changed spec.containers[notebook].resources.requests[memory]"}},
		"a pull policy":                 {spec: "{enforced: {imagePullPolicy: Always}}", changes: []string{"changed spec.containers[notebook].imagePullPolicy"}},
		"and back":                      {spec: "{enforced: {imagePullPolicy: IfNotPresent}}", change: func(p *corev1.Pod) { notebook(p).ImagePullPolicy = corev1.PullAlways }, changes: []string{"changed spec.containers[notebook].imagePullPolicy"}},
		"another account and its token": {spec: "{enforced: {serviceAccount: course}}", changes: []string{"changed spec.serviceAccountName"}},
		"no token":                      {spec: "{enforced: {automountServiceAccountToken: false}}", changes: []string{"added spec.automountServiceAccountToken"}},
		"a priority class":              {spec: "{enforced: {priorityClassName: users}}", changes: []string{"added spec.priorityClassName"}},
		"no priority class that the hub chose": {
			spec: "{enforced: {unset: [priorityClassName]}}", surplus: []string{"spec.priorityClassName"},
			change: func(p *corev1.Pod) { p.Spec.PriorityClassName = "hub" }, changes: []string{"removed spec.priorityClassName"},
		},
		"no priority class that may be the cluster's": {
			spec: "{enforced: {unset: [priorityClassName]}}", change: func(p *corev1.Pod) { p.Spec.PriorityClassName = "hub" },
		},
		"exactly these containers": {
			spec:    "{enforced: {extraContainers: [{name: proxy, image: 'envoy:1'}]}}",
			changes: []string{"changed spec.containers[notebook]", "changed spec.containers[proxy]"}, // they change places
		},
		"a volume of another kind": {
			spec: "{enforced: {volumes: {home: {configMap: {name: a}}}}}", surplus: []string{"spec.volumes[home].emptyDir"},
			change: func(p *corev1.Pod) {
				p.Spec.Volumes[0].VolumeSource = corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
			},
			changes: []string{"added spec.volumes[home].configMap", "removed spec.volumes[home].emptyDir"},
		},
		"one container, of which defaults come back": {
			spec: "{enforced: {extraContainers: {proxy: {image: 'envoy:1'}}}}", surplus: []string{"spec.containers[proxy].terminationMessagePath", "spec.containers[proxy].imagePullPolicy"},
			changes: []string{"changed spec.containers[proxy].image"},
		},
		"exactly these tolerations": {spec: "{enforced: {tolerations: [{key: a}]}}", changes: []string{"added spec.tolerations[0]"}},
		"a variable of the hub's":   {spec: "{hubEnv: ['JUPYTERHUB_*']}", changes: []string{"removed spec.containers[notebook].env[ZONE]"}},
		"a label of the hub's":      {spec: "{metadata: {deny: [app]}}", changes: []string{"removed metadata.labels[app]"}},
		"no escalation":             {spec: "{enforced: {allowPrivilegeEscalation: false}}", changes: []string{"added spec.containers[proxy].securityContext", "added spec.initContainers[prepare].securityContext"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := keptInput(t, c.change)
			in.Surplus = c.surplus
			r := fitted(t, compiled(t, auditOnly+clusterwide("more", audited(c.spec))), in)
			assert.Empty(t, reasonsOf(r.Audit.Denials))
			slices.Sort(c.changes)
			assert.Equal(t, c.changes, changesOf(r.Audit))
		})
	}
}

// What the API server has filled in comes back by itself.
func TestWhatTheAPIServerFillsInIsNoDifference(t *testing.T) {
	c := compiled(t, strings.Replace(auditOnly, "skeleton: Keep", "skeleton: Strip\n  defaults: {image: 'quay.io/hub/image:1', imagePullPolicy: IfNotPresent}", 1))
	in := keptInput(t, nil)
	spec := &in.Sent.Spec
	spec.InitContainers, spec.NodeSelector, spec.Affinity, spec.RestartPolicy = nil, nil, nil, corev1.RestartPolicyAlways
	spec.Containers = spec.Containers[1:]
	spec.Volumes = spec.Volumes[1:]
	nb := notebook(in.Sent)
	nb.VolumeMounts, nb.Env = nb.VolumeMounts[1:], nil
	nb.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: quantityOf("1"), corev1.ResourceMemory: quantityOf("1Gi")}
	nb.Resources.Limits = nil
	in.Surplus = []string{"spec.containers[notebook].resources.requests[cpu]"} // the other comes from a LimitRange
	got := changesOf(fitted(t, c, in).Audit)
	assert.Contains(t, got, "removed spec.containers[notebook].resources.requests[cpu]")
	for _, path := range got {
		kind, _, _ := strings.Cut(path, " ")
		allowed := []string{"resources.requests[cpu]", ".env[", "metadata.", "automountServiceAccountToken", "restartPolicy", "securityContext", ".args"}
		assert.True(t, slices.ContainsFunc(allowed, func(part string) bool { return strings.Contains(path, part) }), "%s: %s", kind, path)
	}
}

func TestThePodThatIsLeftAloneIsDeniedNothingButOurAnnotation(t *testing.T) {
	c := compiled(t, auditOnly)
	for name, refused := range map[string]Denial{
		"its identity": {Code: IdentityConflict, Field: "metadata.labels[hub.jupyter.org/username]"},
		"its owner":    {Code: SkeletonNotBare, Field: "metadata.ownerReferences"},
	} {
		t.Run(name, func(t *testing.T) {
			in := keptInput(t, nil)
			in.Refused = []Denial{refused}
			r := fitted(t, c, in)
			assert.True(t, r.Untouched)
			assert.Equal(t, []Denial{refused}, r.Audit.Denials)
			assert.Empty(t, verify(t, c, in, in.Sent))

			assert.Equal(t, []Denial{refused}, denied(t, compiled(t, keeping), in), "an enforced policy denies it")
			forged := in
			forged.Caller = "mallory"
			if denials := denied(t, compiled(t, keeping), forged); refused.Code == IdentityConflict {
				assert.Len(t, denials, 1, "nothing more is known of somebody who can't be told")
			} else {
				assert.Len(t, denials, 2)
			}
			assert.Equal(t, []Denial{refused}, verify(t, compiled(t, keeping), in, fitted(t, compiled(t, keeping), keptInput(t, nil)).Pod))
			none := denied(t, compiled(t, clusterwide("other", "{hubs: [other]}")), in)
			assert.Equal(t, refused, none[0])
		})
	}
	t.Run("our annotation", func(t *testing.T) {
		in := keptInput(t, func(p *corev1.Pod) { p.Annotations[AnnotationApplied] = `{"policies":[]}` })
		assert.Equal(t, []string{"FieldChanged metadata.annotations[slipway.dev/applied]"}, reasonsOf(denied(t, c, in)))
		_, known := c.Verify(in, in.Sent)
		assert.False(t, known)
	})
	t.Run("a policy of which nobody can tell whom it is for", func(t *testing.T) {
		c := Compile(decoded(t, clusterwide("hub", "{enforcement: Audit, namespaceSelector: {matchLabels: {'a b': c}}}")))
		require.NotEmpty(t, c.Errors())
		r, err := c.Apply(keptInput(t, nil))
		require.NoError(t, err)
		assert.Equal(t, []string{"NoPolicy "}, reasonsOf(r.Denials))
		assert.Equal(t, []string{"PolicyInvalid spec.namespaceSelector hub"}, reasonsOf(r.Audit.Denials)[:1])
	})
	t.Run("an invalid policy lets pass", func(t *testing.T) {
		r := fitted(t, Compile(decoded(t, auditOnly+clusterwide("more", audited(audits["an invalid one"])))), keptInput(t, nil))
		assert.True(t, r.Untouched)
	})
	t.Run("a bare skeleton where none is given", func(t *testing.T) {
		r := fitted(t, c, aliceIn("research"))
		assert.Equal(t, "jupyter-alice", r.Pod.Name)
		assert.Equal(t, "main", r.Pod.Labels[LabelHub])
	})
}

func TestUpdatesBesideAuditedPolicies(t *testing.T) {
	enforcedPod := fitted(t, compiled(t, keeping), keptInput(t, nil)).Pod
	image := func(p *corev1.Pod) { notebook(p).Image = "other" }
	user := func(p *corev1.Pod) { p.Annotations[AnnotationUsername] = "bob" }
	owner := func(p *corev1.Pod) { p.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "a"}} }
	bounds := clusterwide("bounds", "{enforcement: Audit, constraints: {memLimit: {max: 1Gi}, image: {allow: ['quay.io/*', 'envoy:*', 'busybox:*']}}}")
	larger := func(p *corev1.Pod) { notebook(p).Resources.Limits[corev1.ResourceMemory] = quantityOf("64Gi") }
	for name, c := range map[string]struct {
		policies string
		before   *corev1.Pod
		change   func(*corev1.Pod)
		sub      Subresource
		denials  []string
		would    []string
		silent   bool
	}{
		"a spec that nobody fitted":            {policies: auditOnly, before: hubPod(t), change: image, would: []string{"FieldChanged spec.containers[notebook].image"}},
		"an owner of a pod that nobody fitted": {policies: auditOnly, before: hubPod(t), change: owner, would: []string{"FieldChanged metadata.ownerReferences"}},
		"its identity":                         {policies: auditOnly, before: hubPod(t), change: user, denials: []string{"FieldChanged metadata.annotations[hub.jupyter.org/username]"}},
		"a spec that was fitted":               {policies: auditOnly, before: enforcedPod, change: image, denials: []string{"FieldChanged spec.containers[notebook].image"}},
		"a spec beside an enforced policy":     {policies: keeping + bounds, before: hubPod(t), change: image, denials: []string{"FieldChanged spec.containers[notebook].image"}},
		"a spec where no policy is audited":    {policies: keeping, before: hubPod(t), change: image, denials: []string{"FieldChanged spec.containers[notebook].image"}, silent: true},
		"a size":                               {policies: auditOnly + bounds, before: hubPod(t), change: larger, sub: Resize, would: []string{"ConstraintViolated spec.containers bounds"}},
		"a size of a fitted pod":               {policies: auditOnly + bounds, before: enforcedPod, change: larger, sub: Resize, would: []string{"ConstraintViolated spec.containers bounds"}},
		"a size beside an enforced policy":     {policies: keeping + bounds, before: enforcedPod, change: larger, sub: Resize, would: []string{"ConstraintViolated spec.containers bounds"}},
		"a debugging container":                {policies: auditOnly + bounds, before: hubPod(t), change: addEphemeral("evil"), sub: EphemeralContainers, would: []string{"ConstraintViolated spec.ephemeralContainers[debug].resources.limits[memory] bounds", "ConstraintViolated spec.ephemeralContainers[debug].image bounds"}},
		"one of an image that may run":         {policies: keeping + bounds, before: enforcedPod, change: addEphemeral("quay.io/a"), sub: EphemeralContainers, would: []string{"ConstraintViolated spec.ephemeralContainers[debug].resources.limits[memory] bounds"}},
	} {
		t.Run(name, func(t *testing.T) {
			after := c.before.DeepCopy()
			c.change(after)
			denials, report := compiled(t, c.policies).Update(aliceIn("research"), c.before, after, c.sub)
			assert.Equal(t, c.denials, reasonsOf(denials))
			assert.Equal(t, c.silent, report == nil)
			if report != nil {
				assert.Equal(t, c.would, reasonsOf(report.Denials))
			}
		})
	}
}

func TestWarningsOfAnAuditAreBounded(t *testing.T) {
	r := &AuditReport{Policies: []PolicyRef{{Name: "a"}}}
	assert.Nil(t, r.Warnings())
	assert.Nil(t, (*AuditReport)(nil).Warnings())
	for range 100 {
		r.Denials = append(r.Denials, Denial{Code: ConstraintViolated, Message: strings.Repeat("long ", 100)})
		r.Differences = append(r.Differences, Difference{strings.Repeat("path", 20), FieldAdded})
	}
	result := Result{Warnings: slices.Repeat([]string{"w"}, 10), Audit: r}
	for _, warnings := range [][]string{r.Warnings(), result.AllWarnings()} {
		assert.Len(t, warnings, maxWarnings)
		for _, w := range warnings {
			assert.LessOrEqual(t, len(w), maxWarning)
		}
	}
	assert.Equal(t, slices.Repeat([]string{"w"}, 10), result.Warnings, "they stay as they are")
}

func TestAReportQuotesNoValues(t *testing.T) {
	const secret = "hunter2"
	in := keptInput(t, func(p *corev1.Pod) {
		notebook(p).Env = append(notebook(p).Env, corev1.EnvVar{Name: "PASSWORD", Value: secret})
	})
	more := "{hubEnv: [NONE], enforced: {environment: {PASSWORD: " + secret + "2}, extraLabels: {a: " + secret + "}}}"
	r := fitted(t, compiled(t, auditOnly+clusterwide("more", audited(more))), in)
	require.Contains(t, slices.Collect(maps.Keys(map[string]bool{r.Audit.Differences[0].Path: true}))[0], "metadata")
	assert.NotContains(t, strings.Join(append(changesOf(r.Audit), r.Audit.Warnings()...), "\n"), secret)
}
