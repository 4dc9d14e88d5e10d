package kubespawner

import (
	"math"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

const wantBytes = `a size such as "2G" or "512M" (KubeSpawner's K, M, G and T are powers of 1024), or a number of bytes`

// pythonFloat is what Python's float() takes, but for inf and nan, which are no sizes.
var pythonFloat = regexp.MustCompile(`^[+-]?([0-9](_?[0-9])*\.?|([0-9](_?[0-9])*)?\.[0-9](_?[0-9])*)([eE][+-]?[0-9](_?[0-9])*)?$`)

// byteSizes are the suffixes of a ByteSpecification.
var byteSizes = map[byte]float64{'K': 1 << 10, 'M': 1 << 20, 'G': 1 << 30, 'T': 1 << 40}

// byteSpec reads a memory size as JupyterHub does and gives Kubernetes' quantity for it; "" where the value is falsy, for
// which KubeSpawner writes nothing.
func (c *converter) byteSpec(v any, at string) string {
	n, ok := parseBytes(v)
	if !ok {
		if q, evident := c.evidentQuantity(v, at, wantBytes); evident {
			return q
		}
		c.wrongType(at, wantBytes, v)
		return ""
	}
	if n < 0 {
		c.refusef(at, "must not be negative, and is %d bytes", n)
		return ""
	}
	return bytesQuantity(n)
}

// parseBytes computes in floating point and cuts off, as Python does, so that the number of bytes is the same.
func parseBytes(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case float64:
		return truncated(v)
	case string:
		if v == "" {
			return 0, false
		}
		size, known := byteSizes[v[len(v)-1]]
		f, ok := parseFloat(v[:len(v)-1])
		if !known || !ok {
			return 0, false
		}
		return truncated(f * size)
	}
	return 0, false
}

func truncated(f float64) (int64, bool) {
	f = math.Trunc(f)
	// 2⁶³ itself is a float64, and the first that an int64 can't hold.
	if math.IsNaN(f) || f >= math.MaxInt64 || f <= math.MinInt64 {
		return 0, false
	}
	return int64(f), true
}

func parseFloat(text string) (float64, bool) {
	text = strings.TrimSpace(text)
	if !pythonFloat.MatchString(text) {
		return 0, false
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
	return f, err == nil
}

// bytesQuantity writes a number of bytes in the largest binary unit that divides it.
func bytesQuantity(n int64) string {
	if n == 0 {
		return ""
	}
	for i, unit := range []string{"Ti", "Gi", "Mi", "Ki"} {
		size := int64(1) << (10 * (4 - i))
		if n%size == 0 {
			return strconv.FormatInt(n/size, 10) + unit
		}
	}
	return strconv.FormatInt(n, 10)
}

// cpu reads a number of processors; "" where it is 0, for which KubeSpawner writes nothing.
func (c *converter) cpu(v any, at string) string {
	const want = "a number such as 0.5 or 2"
	var text string
	switch v := v.(type) {
	case int64:
		text = strconv.FormatInt(v, 10)
	case float64:
		text = decimal(v)
	case bool:
		text = map[bool]string{true: "1", false: "0"}[v]
	default:
		if q, evident := c.evidentQuantity(v, at, want); evident {
			return q
		}
		c.wrongType(at, want, v)
		return ""
	}
	q, err := resource.ParseQuantity(text)
	switch {
	case err != nil || q.Sign() < 0:
		c.wrongType(at, want+", not negative", v)
		return ""
	case q.IsZero():
		return ""
	}
	return canonical(q)
}

// canonical writes a quantity in the form that Kubernetes gives it; a parsed one remembers how it was written.
func canonical(q resource.Quantity) string {
	return resource.NewDecimalQuantity(*q.AsDec(), q.Format).String()
}

// decimal writes a number so that a quantity keeps it: above E there is no decimal suffix, and without an exponent the size
// would be cut off.
func decimal(v float64) string {
	if math.Abs(v) >= 1e18 {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// evidentQuantity takes a Kubernetes quantity where KubeSpawner refuses it, if the caller asked for what is evident.
func (c *converter) evidentQuantity(v any, at, want string) (string, bool) {
	text, ok := v.(string)
	if !ok || !c.opts.Evident {
		return "", false
	}
	q, err := resource.ParseQuantity(strings.TrimSpace(text))
	if err != nil || q.Sign() <= 0 {
		return "", false
	}
	c.find(Warning, at, "KubeSpawner refuses "+strconv.Quote(text)+" at the first spawn; it takes "+want,
		"the policy has Kubernetes' meaning of it; check that it is the one you mean")
	return q.String(), true
}

// quantity reads a value that KubeSpawner hands to Kubernetes as it stands.
func (c *converter) quantity(v any, at string) string {
	var text string
	switch v := v.(type) {
	case string:
		text = v
	case int64:
		text = strconv.FormatInt(v, 10)
	case float64:
		text = decimal(v)
	default:
		c.wrongType(at, `a Kubernetes quantity such as "1", "500m" or "10Gi"`, v)
		return ""
	}
	q, err := resource.ParseQuantity(text)
	if err != nil {
		c.wrongType(at, `a Kubernetes quantity such as "1", "500m" or "10Gi"`, v)
		return ""
	}
	if _, isText := v.(string); isText {
		return text
	}
	return canonical(q)
}
