//go:build chaos

package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipway-hub/slipway/test/fleet"
	"github.com/slipway-hub/slipway/test/world"
)

// hub is a real JupyterHub with the plugin, and its API, as an administrator uses it.
type hub struct {
	*fleet.Unit
	api, token string
}

// startHub starts one that reaches the launchers at a socket.
func startHub(t *testing.T, f *fleet.Fleet) *hub {
	t.Helper()
	repository, err := filepath.Abs("../..")
	require.NoError(t, err)
	plugin := filepath.Join(repository, "launcher", "jupyterhub")
	cmd := exec.CommandContext(t.Context(), "python3", filepath.Join(repository, "tools", "pyenv.py"), filepath.Join(plugin, "requirements.txt"))
	cmd.Stderr = os.Stderr
	bin, err := cmd.Output()
	require.NoError(t, err, "JupyterHub is installed from the package index the first time")
	dir := filepath.Join(f.Dir, "hub")
	require.NoError(t, os.Mkdir(dir, 0o700))
	ports, err := world.FreePorts(2)
	require.NoError(t, err)
	h := &hub{api: fmt.Sprintf("http://127.0.0.1:%d/hub/api", ports[0]), token: "the-token-of-the-tests-0000000000000000"}
	config, err := filepath.Abs("jupyterhub_config.py")
	require.NoError(t, err)
	h.Unit = fleet.NewUnit("hub", h.api+"/", filepath.Join(f.Dir, "hub.log"),
		[]string{filepath.Join(strings.TrimSpace(string(bin)), "python"), "-m", "jupyterhub", "-f", config},
		[]string{
			"PYTHONPATH=" + plugin, "PYTHONDONTWRITEBYTECODE=1", "HUB_DIR=" + dir, "HUB_TOKEN=" + h.token, "LAUNCHER_SOCKET=" + f.Socket,
			fmt.Sprintf("HUB_PORT=%d", ports[0]), fmt.Sprintf("PROXY_PORT=%d", ports[1]),
		})
	f.Begin(t, h.Unit)
	return h
}

// server is what the hub's API says of one.
type server struct {
	Ready   bool   `json:"ready"`
	Pending string `json:"pending"`
	State   struct {
		Pod string `json:"pod_name"`
	} `json:"state"`
}

// get gives a user's default server; nil where it neither runs nor starts nor stops.
func (h *hub) get(ctx context.Context, user string) (*server, error) {
	var u struct {
		Servers map[string]*server `json:"servers"`
	}
	if err := h.call(ctx, http.MethodGet, "/users/"+user, h.token, &u); err != nil {
		return nil, err
	}
	return u.Servers[""], nil
}

// whose says to which user a server's token belongs.
func (h *hub) whose(ctx context.Context, token string) (string, error) {
	var u struct {
		Name string `json:"name"`
	}
	err := h.call(ctx, http.MethodGet, "/user", token, &u)
	return u.Name, err
}

// refused is an answer of the hub that it can't or won't.
type refused struct {
	status int
	said   string
}

func (r *refused) Error() string { return fmt.Sprintf("the hub answered %d: %s", r.status, r.said) }

// call reads the answer into what into points at, unless that is nil.
func (h *hub) call(ctx context.Context, method, path, token string, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, h.api+path, http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "token "+token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode >= http.StatusBadRequest {
		return &refused{answer.StatusCode, strings.TrimSpace(string(body))}
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}

// isRefused says whether the hub answered, whatever it was.
func isRefused(err error) bool {
	var r *refused
	return errors.As(err, &r)
}
