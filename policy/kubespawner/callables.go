package kubespawner

import (
	"fmt"
	"strings"
)

// callable says whether v stands for a Python function, and what it is called.
func callable(v any) (string, bool) {
	o, ok := v.(Object)
	if !ok || len(o) == 0 || o[0].Key != "$callable" {
		return "", false
	}
	name, _ := o[0].Value.(string)
	if name == "" || strings.Contains(name, "<lambda>") {
		name = "lambda"
	}
	return name, true
}

// where says in which file a function stands, if the loader told.
func where(o Object) string {
	file, _ := o.Get("file")
	line, _ := o.Get("line")
	name, ok := file.(string)
	if !ok || name == "" {
		return ""
	}
	if n, ok := line.(int64); ok {
		return fmt.Sprintf(" (%s:%d)", name, n)
	}
	return " (" + name + ")"
}

// cel is the expression that the loader made of the function, where it is plain enough.
func cel(o Object) string {
	text, _ := o.Get("cel")
	s, _ := text.(string)
	return s
}

// function reports a callable trait, with a draft of the expression that could take its place.
func (c *converter) function(t *trait, o Object, name, at string) {
	f := Finding{Kind: Unmapped, Path: at, Why: "is the Python function " + name + where(o) + ", which a cluster can't run"}
	if c.override {
		f.Do = "give the profile a plain value, or compute it in spec.expressions, where selection.profile can be asked"
		c.add(f)
		return
	}
	expression := cel(o)
	f.Do = "write what it computes as a CEL expression"
	if expression != "" {
		f.Do = "check this draft of a CEL expression"
	} else {
		expression = expressionSketch(t.name)
	}
	f.Draft = "expressions:\n  " + t.setting + ": " + yamlText(expression)
	c.add(f)
}

// expressionSketch is a plain example of the type that the setting needs.
func expressionSketch(trait string) string {
	switch trait {
	case "uid", "gid", "fs_gid":
		return "int(user.annotations['" + trait + "'])"
	case "supplemental_gids":
		return "user.annotations['gids'].split(',').map(g, int(g))"
	case "pod_security_context", "container_security_context":
		return "{'runAsUser': int(user.annotations['uid'])}"
	}
	return "user.annotations['" + trait + "']"
}

func (c *converter) variableFunction(o Object, name, at string) {
	f := Finding{Kind: Unmapped, Path: at, Why: "is the Python function " + name + where(o) + ", which a cluster can't run",
		Do: "let the hub give the variable (hubEnv), or compute it in spec.expressions"}
	if expression := cel(o); expression != "" {
		f.Do = "check this draft of a CEL expression"
		f.Draft = "expressions:\n  environment: " + yamlText("{"+celText(lastKey(at))+": "+expression+"}")
	}
	c.add(f)
}

func lastKey(at string) string {
	at = strings.TrimSuffix(at, "]")
	return at[strings.LastIndexAny(at, ".[")+1:]
}

func celText(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`).Replace(s) + "'"
}

// yamlText quotes text for a line of YAML.
func yamlText(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(s) + `"`
}
