package chart

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// What is wrong with values is said by name, before anything is installed.
func TestValuesThatAreRefused(t *testing.T) {
	const guarded = "the API server would refuse every hub's pod with another, as admission.guard says"
	for name, c := range map[string]struct {
		values string
		says   []string
	}{
		"an unknown key":                    {`{replicas: 3}`, []string{"additional properties 'replicas' not allowed"}},
		"an unknown key further down":       {`{webhook: {replica: 3}}`, []string{"at '/webhook'", "additional properties 'replica' not allowed"}},
		"an unknown key in a list":          {`{launcherAccounts: [{namespace: a, name: b, group: c}]}`, []string{"at '/launcherAccounts/0'", "'group' not allowed"}},
		"an account without a name":         {`{launcherAccounts: [{namespace: a}]}`, []string{"at '/launcherAccounts/0'", "missing property 'name'"}},
		"an account's name with a quote":    {`{launcherAccounts: [{namespace: a, name: "b\"]"}]}`, []string{"at '/launcherAccounts/0/name'", "does not match pattern"}},
		"an account twice":                  {`{launcherAccounts: [{namespace: a, name: b}, {namespace: a, name: b}]}`, []string{"at '/launcherAccounts'", "items at 0 and 1 are equal"}},
		"another certificate mode":          {`{certificates: {mode: files}}`, []string{"at '/certificates/mode'", "value must be one of 'selfSigned', 'certManager'"}},
		"a duration in days":                {`{certificates: {certManager: {duration: 90d}}}`, []string{"at '/certificates/certManager/duration'", "does not match pattern"}},
		"an issuer without a name":          {`{certificates: {certManager: {issuerRef: {kind: ClusterIssuer}}}}`, []string{"missing property 'name'"}},
		"a port that is none":               {`{webhook: {port: 0}}`, []string{"at '/webhook/port'", "minimum: got 0, want 1"}},
		"replicas as text":                  {`{webhook: {replicas: "2"}}`, []string{"at '/webhook/replicas'", "got string, want integer"}},
		"a level that isn't there":          {`{webhook: {log: {level: loud}}}`, []string{"at '/webhook/log/level'", "value must be one of 'debug', 'info', 'warn', 'error'"}},
		"a receiver of OTLP over HTTP":      {`{webhook: {tracing: {endpoint: "http://collector:4318/v1/traces"}}}`, []string{"at '/webhook/tracing/endpoint'", "does not match pattern"}},
		"a receiver without a port":         {`{webhook: {tracing: {endpoint: collector}}}`, []string{"at '/webhook/tracing/endpoint'", "does not match pattern"}},
		"more traces than requests":         {`{webhook: {tracing: {samplingRatio: 5}}}`, []string{"at '/webhook/tracing/samplingRatio'", "maximum: got 5, want 1"}},
		"a time-out above the cluster's":    {`{admission: {mutate: {timeoutSeconds: 31}}}`, []string{"at '/admission/mutate/timeoutSeconds'", "maximum: got 31, want 30"}},
		"a condition without expression":    {`{admission: {verify: {matchConditions: [{name: a}]}}}`, []string{"missing property 'expression'"}},
		"a digest that is cut off":          {`{webhook: {image: {digest: "sha256:00"}}}`, []string{"at '/webhook/image/digest'", "does not match pattern"}},
		"a tag in the repository":           {`{webhook: {image: {repository: "registry.example.org/slipway:1"}}}`, []string{"at '/webhook/image/repository'", "does not match pattern"}},
		"a rollout that can't go on":        {`{webhook: {rollingUpdate: {maxUnavailable: 0, maxSurge: 0}}}`, []string{"at '/webhook/rollingUpdate'", "'not' failed"}},
		"a budget that isn't a number":      {`{webhook: {podDisruptionBudget: {maxUnavailable: some}}}`, []string{"at '/webhook/podDisruptionBudget/maxUnavailable'"}},
		"an address that is no network":     {`{starterPolicies: {blockedCIDRs: [169.254.169.254]}}`, []string{"at '/starterPolicies/blockedCIDRs/0'", "does not match pattern"}},
		"a label that is a number":          {`{webhook: {podLabels: {a: 1}}}`, []string{"at '/webhook/podLabels/a'", "got number, want string"}},
		"failures ignored in fitting":       {`{admission: {mutate: {failurePolicy: Ignore}}}`, []string{"admission.mutate.failurePolicy must be Fail: " + guarded}},
		"failures ignored in verifying":     {`{admission: {verify: {failurePolicy: Ignore}}}`, []string{"admission.verify.failurePolicy must be Fail: " + guarded}},
		"only some pods fitted":             {`{admission: {mutate: {objectSelector: {matchLabels: {a: b}}}}}`, []string{"admission.mutate.objectSelector must be empty: " + guarded}},
		"only some namespaces fitted":       {`{admission: {mutate: {namespaceSelector: {matchLabels: {a: b}}}}}`, []string{"admission.mutate.namespaceSelector may leave namespaces out only by name"}},
		"only some namespaces verified":     {`{admission: {verify: {namespaceSelector: {matchExpressions: [{key: tier, operator: NotIn, values: [b]}]}}}}`, []string{"admission.verify.namespaceSelector may leave namespaces out only by name"}},
		"only one namespace":                {`{admission: {verify: {namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [b]}]}}}}`, []string{"admission.verify.namespaceSelector may leave namespaces out only by name"}},
		"the kubelet's port on the node":    {`{webhook: {hostNetwork: true}}`, []string{"webhook.port must not be 10250 with webhook.hostNetwork"}},
		"a policy for a node's address":     {`{webhook: {hostNetwork: true, port: 10260, networkPolicy: {enabled: true}}}`, []string{"webhook.networkPolicy.enabled must be false with webhook.hostNetwork"}},
		"names without a server for them":   {`{webhook: {dnsPolicy: None}}`, []string{"at '/webhook/dnsPolicy'", "value must be one of"}},
		"a launcher for nobody":             {`{launcher: {enabled: true, clusterWide: true}}`, []string{"launcher.accounts must name the service account of each hub"}},
		"a launcher without a certificate":  {`{launcher: {enabled: true, clusterWide: true, accounts: [{namespace: a, name: b, hubs: [c]}]}}`, []string{"launcher.tls.secretName must name a Secret"}},
		"an account of no hub":              {`{launcher: {accounts: [{namespace: a, name: b, hubs: []}]}}`, []string{"at '/launcher/accounts/0/hubs'", "minItems"}},
		"a hub that can't be a label":       {`{launcher: {accounts: [{namespace: a, name: b, hubs: ["a,b"]}]}}`, []string{"at '/launcher/accounts/0/hubs/0'", "does not match pattern"}},
		"namespaces without a policy":       {`{launcher: {clusterWide: true, userNamespaces: true}}`, []string{"launcher.userNamespacePolicy must name the ClusterSpawnPolicy"}},
		"a launcher without a namespace":    {`{launcher: {enabled: true, tls: {secretName: x}, accounts: [{namespace: a, name: b, hubs: [c]}]}}`, []string{"launcher.namespaces must name the namespaces where servers run, or launcher.clusterWide be true"}},
		"a sidecar without a namespace":     {`{launcherAccounts: [{namespace: a, name: b, bind: true}]}`, []string{"launcher.namespaces must name"}},
		"namespaces in a few of them":       {`{launcher: {namespaces: [a], userNamespaces: true}}`, []string{"launcher.userNamespaces needs launcher.clusterWide: true"}},
		"starter policies for nobody":       {`{starterPolicies: {enabled: true}}`, []string{"starterPolicies.namespaces must name at least one namespace"}},
		"fewer replicas at most than least": {`{webhook: {autoscaling: {enabled: true, minReplicas: 4, maxReplicas: 2}}}`, []string{"webhook.autoscaling.maxReplicas must not be less than minReplicas"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var v values
			require.NoError(t, yaml.UnmarshalStrict([]byte(c.values), &v))
			_, says, err := template(t, v)
			require.Error(t, err)
			for _, s := range c.says {
				assert.Contains(t, says, s)
			}
		})
	}
}

// As a part of another chart it gets keys that it doesn't read.
func TestValuesOfAParentChartAreAccepted(t *testing.T) {
	render(t, values{"global": values{"imageRegistry": "example.org"}, "enabled": true})
}
