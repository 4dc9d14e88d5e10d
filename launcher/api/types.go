package api

import (
	"encoding/json"
	"time"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
)

// Server is a server whose pod exists.
type Server struct {
	Hub       string    `json:"hub"                doc:"The hub whose server it is."                                                                                                                                              example:"main"`
	User      string    `json:"user"               doc:"The unescaped user name."                                                                                                                                                 example:"alice"`
	Name      string    `json:"name"               doc:"The server's unescaped name; empty for the default one."                                                                                                                  example:""`
	Namespace string    `json:"namespace"          doc:"Where its pod is."                                                                                                                                                        example:"research"`
	Pod       string    `json:"pod"                doc:"Its pod's name."                                                                                                                                                          example:"jupyter-alice"`
	UID       string    `json:"uid"                doc:"Its pod's uid."                                                                                                                                                           example:"6d0b5c1e-6a0e-4a2e-9d0b-0d5e3f1c8a77"`
	StartID8  string    `json:"startId8,omitempty" doc:"Eight characters made of the start's id; left out where another program made the pod."                                                                                    example:"x7k2m9qa"`
	State     string    `json:"state"              doc:"Pending: not ready yet. Running: all containers are ready. Stopping: its pod is being deleted. Stopped: it has ended. Failed: it can't start as it is; message says why." enum:"Pending,Running,Stopping,Stopped,Failed" example:"Running"`
	Message   string    `json:"message,omitempty"  doc:"One sentence on why it isn't running; left out while it runs."`
	URL       string    `json:"url,omitempty"      doc:"Where the hub reaches it; left out before the pod has an address."                                                                                                        example:"http://10.0.3.7:8888"`
	ExitCode  *int32    `json:"exitCode,omitempty" doc:"Exit code of the notebook container; left out unless it has ended."`
	Profile   string    `json:"profile,omitempty"  doc:"Slug of the profile that it was started with."                                                                                                                            example:"gpu"`
	Created   time.Time `json:"created"            doc:"When its pod was made."`
}

func serverOf(s *launcher.Server) *Server {
	if s == nil {
		return nil
	}
	return &Server{
		Hub: s.Hub, User: s.User, Name: s.Name, Namespace: s.Namespace, Pod: s.Pod, UID: s.UID, StartID8: s.StartID8,
		State: string(s.State), Message: s.Message, URL: s.URL, ExitCode: s.ExitCode, Profile: s.Profile, Created: s.Created.UTC(),
	}
}

// Servers are all servers of a hub.
type Servers struct {
	Servers []*Server `json:"servers" doc:"By user, then by name."`
}

// Start asks for a server.
type Start struct {
	StartID         string            `json:"startId"                   doc:"Tells this start from every other of the server: the same one twice is one start, and another one replaces the server that is there, since its environment may be new." example:"0f8e2a34-51a0-4d0c-8f8e-5d2b8b0f6a11" maxLength:"256"                           minLength:"1"`
	Namespace       string            `json:"namespace,omitempty"       doc:"Where to make the pod; left out: where policy says, else the launcher's only namespace."                                                                                maxLength:"63"                                 pattern:"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"`
	UserID          *whole            `json:"userId,omitempty"          doc:"The hub's own number of the user."`
	Groups          []string          `json:"groups,omitempty"          doc:"Groups that the user is in."                                                                                                                                            maxItems:"10000"`
	Profile         string            `json:"profile,omitempty"         doc:"Slug of the profile; left out: the default one."                                                                                                                        example:"gpu"                                  maxLength:"253"`
	Options         map[string]string `json:"options,omitempty"         doc:"The profile's options: name to choice, or NAME--unlisted-choice to what the user typed."`
	UserAnnotations map[string]string `json:"userAnnotations,omitempty" doc:"Further facts about the user, for policy's expressions."`
	Env             map[string]string `json:"env,omitempty"             doc:"The hub's environment, of which policy lets some pass. It goes into a Secret; with files at most 900 KiB."`
	Files           map[string]string `json:"files,omitempty"           doc:"The hub's TLS files for the server: ssl.key, ssl.crt, notebooks-ca_trust.crt."`
	TimeoutSeconds  whole             `json:"timeoutSeconds,omitempty"  doc:"Bounds this start, waiting for an old pod to end included; left out: five minutes."                                                                                     maximum:"3600"                                 minimum:"1"`
}

func (s *Start) request(k launcher.Key) launcher.Request {
	return launcher.Request{
		Key: k, StartID: s.StartID, Namespace: s.Namespace, UserID: (*int64)(s.UserID), Groups: s.Groups, Profile: s.Profile, Options: s.Options,
		UserAnnotations: s.UserAnnotations, Env: s.Env, Files: s.Files, Timeout: time.Duration(s.TimeoutSeconds) * time.Second,
	}
}

// Step is what there is to tell of a server on its way.
type Step struct {
	Progress int             `json:"progress"         doc:"How far it is, in percent; -1 where the message is no step, but a word of patience." maximum:"100"                             minimum:"-1"`
	Message  string          `json:"message"          doc:"One sentence for the user."                                                          example:"Pulling image quay.io/jupyter/x"`
	Event    json.RawMessage `json:"event,omitempty"  doc:"The Kubernetes event behind it."`
	Done     bool            `json:"done"             doc:"The last step: the server is running, has failed or stopped, or is gone."`
	Server   *Server         `json:"server,omitempty" doc:"The server as it is; left out where there is none."`
}

func stepOf(s launcher.Step) Step {
	return Step{Progress: s.Progress, Message: s.Message, Event: s.Event, Done: s.Done, Server: serverOf(s.Server)}
}

// Profiles are those that a user may choose from.
type Profiles struct {
	Profiles []policy.Offered `json:"profiles"          doc:"In their order; none where there is nothing to choose."`
	DNSName  string           `json:"dnsName,omitempty" doc:"The host name that the server is going to have, for the certificate of internal TLS." example:"jupyter-alice.research.svc.cluster.local"`
}

// Claim is a home, or another claim of a user.
type Claim struct {
	Namespace       string `json:"namespace"       example:"research"`
	Name            string `json:"name"            doc:"The claim's name."                                             example:"claim-alice"`
	Hub             string `json:"hub"             example:"main"`
	User            string `json:"user"            doc:"The unescaped user name."                                      example:"alice"`
	Server          string `json:"server"          doc:"The server's unescaped name; empty for the default one."       example:""`
	InUse           bool   `json:"inUse"           doc:"A pod of the server is there."`
	DeleteRequested bool   `json:"deleteRequested" doc:"Its deletion has been asked for; it goes once no pod uses it."`
}

// Claims of a user.
type Claims struct {
	Claims []Claim `json:"claims"`
}

func claimsOf(claims []launcher.Claim) Claims {
	all := make([]Claim, 0, len(claims))
	for _, c := range claims {
		all = append(all, Claim{
			Namespace: c.Namespace, Name: c.Name, Hub: c.Hub, User: c.User, Server: c.Key.Name, InUse: c.InUse, DeleteRequested: c.DeleteRequested,
		})
	}
	return Claims{all}
}
