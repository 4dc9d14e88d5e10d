package expression

import (
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/interpreter"
	apiservercel "k8s.io/apiserver/pkg/cel"
)

// The variables of expressions.
const (
	varUser      = "user"
	varServer    = "server"
	varHub       = "hub"
	varGroups    = "groups"
	varNamespace = "namespaceObject"
	varProfile   = "profile"
	varOptions   = "options"
	varObject    = "object"
)

var (
	textsType  = apiservercel.NewMapType(apiservercel.StringType, apiservercel.StringType, assumedItems)
	groupsType = apiservercel.NewListType(apiservercel.StringType, assumedItems)

	userType = object("slipway.User", map[string]*apiservercel.DeclType{
		"name": apiservercel.StringType, "slug": apiservercel.StringType, "id": apiservercel.IntType, "annotations": textsType,
	})
	serverType   = object("slipway.Server", map[string]*apiservercel.DeclType{"name": apiservercel.StringType})
	hubType      = object("slipway.Hub", map[string]*apiservercel.DeclType{"name": apiservercel.StringType})
	metadataType = object("slipway.NamespaceMetadata", map[string]*apiservercel.DeclType{
		"name": apiservercel.StringType, "labels": textsType,
	})
	namespaceType = object("slipway.Namespace", map[string]*apiservercel.DeclType{"metadata": metadataType})
)

func object(name string, fields map[string]*apiservercel.DeclType) *apiservercel.DeclType {
	declared := map[string]*apiservercel.DeclField{}
	for field, t := range fields {
		declared[field] = apiservercel.NewDeclField(field, t, true, nil, nil)
	}
	return apiservercel.NewObjectType(name, declared)
}

// Variables are what expressions know of one server. They must not change while expressions are run.
type Variables struct {
	// User is the unescaped name, UserSlug is user.slug, a name for objects made of it, UserID the hub's number (nil: user.id is absent), UserAnnotations are user.annotations.
	User, UserSlug  string
	UserID          *int64
	UserAnnotations map[string]string
	// Server is server.name, "" for the default server; Hub is hub.name.
	Server, Hub string
	// Groups the user is in, sorted.
	Groups []string
	// Namespace is namespaceObject.metadata.name, NamespaceLabels its labels.
	Namespace       string
	NamespaceLabels map[string]string
	// Profile that was chosen, "" where policies have none, and the choice for each of its options.
	Profile string
	Options map[string]string
}

// activation gives expressions their variables; object is the pod as JSON has it, nil where there is none.
type activation struct {
	of     *Variables
	object map[string]any
}

// ResolveName gives the value of a variable.
func (a activation) ResolveName(name string) (any, bool) {
	v := a.of
	switch name {
	case varUser:
		user := map[string]any{"name": v.User, "slug": v.UserSlug, "annotations": orEmpty(v.UserAnnotations)}
		if v.UserID != nil {
			user["id"] = *v.UserID
		}
		return adapted(user), true
	case varServer:
		return adapted(map[string]any{"name": v.Server}), true
	case varHub:
		return adapted(map[string]any{"name": v.Hub}), true
	case varGroups:
		return types.NewStringList(types.DefaultTypeAdapter, v.Groups), true
	case varNamespace:
		return adapted(map[string]any{"metadata": map[string]any{"name": v.Namespace, "labels": orEmpty(v.NamespaceLabels)}}), true
	case varProfile:
		return types.String(v.Profile), true
	case varOptions:
		return adapted(orEmpty(v.Options)), true
	case varObject:
		return adapted(a.object), a.object != nil
	}
	return nil, false
}

// Parent is none.
func (a activation) Parent() interpreter.Activation { return nil }

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
