package terminal

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestColourIsForTerminalsThatWantIt(t *testing.T) {
	pseudo, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	require.NoError(t, err)
	defer pseudo.Close()
	file, err := os.Create(t.TempDir() + "/file")
	require.NoError(t, err)
	defer file.Close()

	t.Setenv("NO_COLOR", "")
	assert.Equal(t, "\x1b[31mno\x1b[0m", For(pseudo).Red("no"))
	assert.Empty(t, For(pseudo).Red(""))
	assert.Equal(t, "no", For(file).Red("no"))
	assert.Equal(t, "no", For(&bytes.Buffer{}).Red("no"))
	t.Setenv("NO_COLOR", "1")
	assert.Equal(t, "no", For(pseudo).Red("no"))
}

func TestWhatComesFromElsewhereIsShownAndNotObeyed(t *testing.T) {
	for text, want := range map[string]string{
		"pulled image, größe 3 MiB 雪":    "pulled image, größe 3 MiB 雪",
		"\x1b[2J\x1b]0;title\a gone\r\n": `\x1b[2J\x1b]0;title\a gone\r\n`,
		"\u202eabc\u0085":                `\u202eabc\u0085`,
		"'quoted' \\":                    `'quoted' \`,
	} {
		assert.Equal(t, want, Plain(text))
	}
}
