package main

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/policy/v1alpha1"
)

// escapeScheme is KubeSpawner's way to make names up to version 6.
const escapeScheme = "escape"

// changedNames lists the users whose pod, claim or paths are called otherwise by the policy than by the escape scheme, which hubs had
// before KubeSpawner 7 and from which claims and folders may be left.
func (f *importFlags) changedNames(imported *v1alpha1.SpawnPolicy) ([]string, error) {
	users, err := usersOf(f.users)
	if err != nil {
		return nil, invalid(err)
	}
	before := imported.DeepCopy()
	if before.Spec.Defaults == nil {
		before.Spec.Defaults = &v1alpha1.Settings{}
	}
	scheme := escapeScheme
	before.Spec.Defaults.SlugScheme = &scheme
	now, then := namer{imported, f.hub}.compile(), namer{before, f.hub}.compile()
	var lines []string
	changed := 0
	for _, u := range users {
		differences, err := differencesOf(then, now, u)
		if err != nil {
			return nil, failed(err)
		}
		if len(differences) > 0 {
			changed++
			lines = append(lines, u.String()+":")
			lines = append(lines, differences...)
		}
	}
	head := fmt.Sprintf("users: %d of %d have other names than under the escape scheme", changed, len(users))
	if changed > 0 {
		head += "; a claim that says by its annotations whose it is will be found all the same, folders won't"
	}
	return append([]string{head}, lines...), nil
}

// person is a user, or one of a user's named servers.
type person struct{ user, server string }

func (p person) String() string {
	if p.server == "" {
		return "  " + p.user
	}
	return "  " + p.user + " / " + p.server
}

// usersOf reads one user a line; a tab and a server's name may follow.
func usersOf(name string) ([]person, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var users []person
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		user, server, _ := strings.Cut(line, "\t")
		users = append(users, person{user, server})
	}
	return users, lines.Err()
}

type namer struct {
	policy *v1alpha1.SpawnPolicy
	hub    string
}

type compiledNamer struct {
	namer
	compiled *policy.Compiled
}

func (n namer) compile() compiledNamer {
	return compiledNamer{n, policy.Compile(policy.Policies{Namespaced: []v1alpha1.SpawnPolicy{*n.policy}})}
}

// apply makes a server of the policy's hub and namespace.
func (n compiledNamer) apply(id policy.Identity) (policy.Result, error) {
	id.Hub, id.UserID = n.hub, new(int64) // the number is the hub's own
	return n.compiled.Apply(policy.Input{Identity: id, Namespace: policy.Namespace{Name: n.policy.Namespace}})
}

// names are what a server is called by, by what they name.
func (n compiledNamer) names(p person) (map[string]string, error) {
	result, err := n.apply(policy.Identity{User: p.user, Server: p.server})
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	if len(result.Denials) > 0 {
		names["denied"] = result.Denials[0].String()
		return names, nil
	}
	names["pod"] = result.Pod.Name
	if result.Claim != nil {
		names["claim"] = result.Claim.Name
	}
	for _, v := range result.Pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil && (result.Claim == nil || v.PersistentVolumeClaim.ClaimName != result.Claim.Name) {
			names["claim of volume "+v.Name] = v.PersistentVolumeClaim.ClaimName
		}
	}
	for _, list := range [][]corev1.Container{result.Pod.Spec.InitContainers, result.Pod.Spec.Containers} {
		for i := range list {
			for _, m := range list[i].VolumeMounts {
				names["path of "+m.MountPath+" in "+list[i].Name] = m.SubPath
			}
		}
	}
	return names, nil
}

func differencesOf(then, now compiledNamer, p person) ([]string, error) {
	before, err := then.names(p)
	if err != nil {
		return nil, err
	}
	after, err := now.names(p)
	if err != nil {
		return nil, err
	}
	var lines []string
	for what, name := range after {
		if was, had := before[what]; had && was != name {
			lines = append(lines, fmt.Sprintf("    %s: %s -> %s", what, was, name))
		}
	}
	if why, denied := after["denied"]; denied {
		lines = []string{"    denied: " + why}
	}
	slices.Sort(lines)
	return lines, nil
}
