package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Lengths of KubeSpawner's slugs (kubespawner/slugs.py): names hold up to 48 characters of a user and a
// server, and a hashed slug 32 unless it is told otherwise.
const (
	maxNameSlug    = 48
	maxHashedSlug  = 32
	hashLength     = 8
	hashJoiner     = "---"
	componentJoin  = "--"
	maxLabelLength = 63
)

// SafeSlug is KubeSpawner's safe slug of a name, for object names, at most 48 characters: a name that is valid is kept, any
// other is cut down and gets a hash of the whole.
func SafeSlug(name string) string {
	return safeSlug(name, validObjectName, maxNameSlug)
}

// LabelSlug is KubeSpawner's slug of a name as a label value.
func LabelSlug(name string) string {
	return safeSlug(name, validLabelValue, 0)
}

// SafeUserServer is KubeSpawner's {safe_user_server}: at most 48 characters. A default server ("") of a user with a
// slug over 46 characters takes the combined form too, as upstream.
func SafeUserServer(user, server string) string {
	u, s := SafeSlug(user), ""
	if server != "" {
		s = SafeSlug(server)
	}
	if len(u)+len(s)+len(componentJoin) > maxNameSlug {
		return multiSlug([]string{user, server}, maxNameSlug)
	}
	if server == "" {
		return u
	}
	return u + componentJoin + s
}

// EscapeSlug is the slug of KubeSpawner's escape scheme: every byte outside a-z and 0-9 becomes - and its hex,
// without zero padding. It has no length limit.
func EscapeSlug(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		if isLowerAlnum(c) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('-')
		if c >= 0x10 {
			b.WriteByte(hexDigit(c >> 4))
		}
		b.WriteByte(hexDigit(c & 0xf))
	}
	return b.String()
}

func hexDigit(n byte) byte { return "0123456789abcdef"[n] }

func safeSlug(name string, valid func(string) bool, maxLength int) string {
	hashed := maxLength
	if hashed == 0 {
		hashed = maxHashedSlug
	}
	if strings.Contains(name, componentJoin) || !valid(name) || (maxLength > 0 && len(name) > maxLength) {
		return extract(name, hashed-hashLength-len(hashJoiner)) + hashJoiner + shortHash([]byte(name))
	}
	return name
}

func multiSlug(names []string, maxLength int) string {
	each := (maxLength-hashLength-1)/len(names) - len(componentJoin)
	parts := make([]string, len(names))
	for i, n := range names {
		parts[i] = extract(n, each)
	}
	return strings.Join(parts, componentJoin) + hashJoiner + shortHash([]byte(strings.Join(names, "\xff")))
}

func shortHash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:hashLength/2])
}

// extract keeps what a name shares with a valid object name, in at most n characters. A result that has to
// begin with x- may end in a dash: upstream doesn't strip twice, and claims exist under such names.
func extract(name string, n int) string {
	// Python lower-cases U+0130 to i and a combining dot, Go to i alone.
	lower := strings.ToLower(strings.ReplaceAll(name, "\u0130", "i\u0307"))
	var b strings.Builder
	gap := false
	for _, r := range lower {
		if r < 0x80 && isLowerAlnum(byte(r)) {
			if gap {
				b.WriteByte('-')
			}
			b.WriteRune(r)
			gap = false
			continue
		}
		gap = b.Len() > 0
	}
	s := b.String()
	if len(s) > n {
		s = s[:n]
	}
	s = strings.TrimRight(s, "-")
	switch {
	case s == "":
		return "x"
	case s[0] < 'a' || s[0] > 'z':
		return "x-" + s[:min(len(s), n-len("x-"))]
	}
	return s
}

func validObjectName(s string) bool {
	if s == "" || len(s) > maxLabelLength || s[0] < 'a' || s[0] > 'z' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if !isLowerAlnum(s[i]) && s[i] != '-' {
			return false
		}
	}
	return true
}

// validLabelValue is Kubernetes' own rule. Upstream's also lets four letters outside ASCII pass, for which the
// API server then refuses the pod.
func validLabelValue(s string) bool {
	if s == "" {
		return true
	}
	if len(s) > maxLabelLength || !isAlnum(s[0]) || !isAlnum(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return true
}

func isLowerAlnum(c byte) bool { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') }

func isAlnum(c byte) bool { return isLowerAlnum(c) || (c >= 'A' && c <= 'Z') }
