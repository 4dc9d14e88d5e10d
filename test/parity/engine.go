package parity

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/kubespawner"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// hub is the hub that every case is for.
const hub = "main"

// defaultUserID is what the oracle takes where a case names none.
const defaultUserID = 7

// Fitted is what the engine makes of a Case: objects, or the reasons why it refuses.
type Fitted struct {
	Pod []byte
	// Claim is nil where none is asked for.
	Claim []byte
	Names policy.Names
	// Refused are the reasons of import or denial; empty where there is a pod.
	Refused []string
}

// Fit imports the settings of a case as `slipway import` does, and has the engine make the server. The answer
// says what the hub gives beside them. An error is a failure of ours: neither a pod nor a reason.
func Fit(c Case, answer Answer) (Fitted, error) {
	namespace := cmp.Or(answer.Names.Namespace, c.hubNamespace())
	imported, _, problems := kubespawner.Convert(c.Settings, kubespawner.Options{
		Namespace: namespace, Hub: hub, Launcher: c.launcher(),
	})
	if problems != nil {
		return refusedByImport(problems), nil
	}
	return FitPolicy(c, answer, imported)
}

func refusedByImport(problems error) Fitted {
	return Fitted{Refused: []string{"import: " + problems.Error()}}
}

// FitPolicy has the engine make the server under a policy, and those beside it. They are written and read back first: a
// policy that can't be kept in a file would be of no use.
func FitPolicy(c Case, answer Answer, imported *v1alpha1.SpawnPolicy, beside ...*v1alpha1.SpawnPolicy) (Fitted, error) {
	var file []byte
	for _, p := range append([]*v1alpha1.SpawnPolicy{imported}, beside...) {
		document, err := json.Marshal(p)
		if err != nil {
			return Fitted{}, fmt.Errorf("write the policy: %w", err)
		}
		file = append(append(file, "---\n"...), append(document, '\n')...)
	}
	policies, err := policy.Decode("imported.yaml", file)
	if err != nil {
		return Fitted{}, fmt.Errorf("read the policies back: %w", err)
	}
	in := c.input(imported.Namespace, answer.HubEnv)
	in.Provenance = true
	result, err := policy.Compile(policies).Apply(in)
	if err != nil {
		return Fitted{}, fmt.Errorf("apply the policy: %w", err)
	}
	return fitted(result)
}

func fitted(result policy.Result) (Fitted, error) {
	f := Fitted{Names: result.Names}
	for _, d := range result.Denials {
		f.Refused = append(f.Refused, string(d.Code)+": "+d.String())
	}
	if len(f.Refused) > 0 {
		return f, nil
	}
	if result.Pod == nil {
		return Fitted{}, errors.New("the engine gave neither a pod nor a reason")
	}
	if path := unblamed(&result); path != "" {
		return Fitted{}, errors.New("the engine doesn't say who set " + path)
	}
	var err error
	if f.Pod, err = json.Marshal(result.Pod); err != nil {
		return Fitted{}, fmt.Errorf("write the pod: %w", err)
	}
	if result.Claim == nil {
		return f, nil
	}
	if f.Claim, err = json.Marshal(result.Claim); err != nil {
		return Fitted{}, fmt.Errorf("write the claim: %w", err)
	}
	return f, nil
}

// unblamed is the first field without anybody who set it; "" where there is none.
func unblamed(r *policy.Result) string {
	for i := range r.Fields {
		if by := &r.Fields[i].By; by.Layer == "" || by.Policy != nil && by.Path == "" {
			return r.Fields[i].Path
		}
	}
	return ""
}

func (c Case) hubNamespace() string { return cmp.Or(c.HubNamespace, "default") }

func (c Case) launcher() v1alpha1.ServiceAccountRef {
	return v1alpha1.ServiceAccountRef{Namespace: c.hubNamespace(), Name: "hub"}
}

func (c Case) input(namespace string, env map[string]string) policy.Input {
	id := int64(defaultUserID)
	if c.UserID != nil {
		id = *c.UserID
	}
	options := maps.Clone(c.Options)
	profile := options["profile"]
	delete(options, "profile")
	return policy.Input{
		Identity: policy.Identity{
			Hub: hub, User: c.User, Server: c.Server, UserID: &id, Groups: c.Groups, UserAnnotations: c.AuthState,
			Profile: profile, Options: options, Env: env,
		},
		Namespace: policy.Namespace{Name: namespace},
		Caller:    "system:serviceaccount:" + c.launcher().Namespace + ":" + c.launcher().Name,
	}
}
