package observability

import (
	"cmp"
	"context"
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// The picture's measures, in pixels.
const (
	columns   = 3
	panelWide = 430
	panelHigh = 250
	tileWide  = (columns*panelWide + (columns-1)*gap - 5*gap) / 6
	tileHigh  = 84
	gap       = 14
	edge      = 20
	heading   = 64

	plotLeft, plotTop, plotRight = 62, 40, 14
	plotHigh                     = 130
	legendLine                   = 15
)

var palette = []string{"#3b6fb6", "#d9822b", "#3f8f5b", "#c0504d", "#7b5ea7", "#2a9d9d", "#a0763c", "#d16ba5", "#6b7785", "#8aa62f"}

// Draw writes an SVG of the dashboard, as it is in the source.
func Draw(ctx context.Context, out io.Writer, s *Source, panels []Panel) error {
	var body strings.Builder
	tiles, plots := 0, 0
	for _, p := range panels {
		lines, err := s.Lines(ctx, p)
		if err != nil {
			return err
		}
		if p.Type == "stat" {
			x := edge + tiles%6*(tileWide+gap)
			fmt.Fprintf(&body, `<g transform="translate(%d %d)">`, x, heading)
			drawTile(&body, p, lines)
			tiles++
		} else {
			x, y := edge+plots%columns*(panelWide+gap), heading+tileHigh+gap+plots/columns*(panelHigh+gap)
			fmt.Fprintf(&body, `<g transform="translate(%d %d)">`, x, y)
			(&plot{s, p, lines, &body}).draw()
			plots++
		}
		body.WriteString("</g>\n")
	}
	rows := (plots + columns - 1) / columns
	wide, high := 2*edge+columns*panelWide+(columns-1)*gap, heading+tileHigh+gap+rows*(panelHigh+gap)+edge-gap
	_, err := fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="system-ui, Helvetica, Arial, sans-serif">
<rect width="100%%" height="100%%" fill="#f4f5f7"/>
<text x="%d" y="32" font-size="21" font-weight="600" fill="#1f2733">Slipway webhook</text>
<text x="%d" y="51" font-size="12.5" fill="#5d6776">The chart's dashboard, drawn from a real Prometheus: %s, rates over %s</text>
%s</svg>
`, wide, high, wide, high, edge, edge, stretch(s.To.Sub(s.From)), stretch(s.rate), body.String())
	if err != nil {
		return fmt.Errorf("write the picture: %w", err)
	}
	return nil
}

func stretch(d time.Duration) string { return inUnit(d.Seconds(), "s") }

func frame(b *strings.Builder, wide, high int, title string) {
	fmt.Fprintf(b, `<rect width="%d" height="%d" rx="6" fill="#fff" stroke="#dde1e6"/>`, wide, high)
	fmt.Fprintf(b, `<text x="12" y="22" font-size="13" font-weight="600" fill="#2b3442">%s</text>`, html.EscapeString(title))
}

// drawTile shows the last number.
func drawTile(b *strings.Builder, p Panel, lines []Line) {
	frame(b, tileWide, tileHigh, p.Title)
	text, colour := "no data", "#9aa3af"
	if len(lines) > 0 {
		values := lines[0].Values
		text, colour = inUnit(float64(values[len(values)-1].Value), p.Unit), "#1f2733"
	}
	fmt.Fprintf(b, `<text x="12" y="62" font-size="27" fill="%s">%s</text>`, colour, text)
}

// plot is one panel with lines.
type plot struct {
	*Source

	panel Panel
	lines []Line
	b     *strings.Builder
}

func (p *plot) draw() {
	frame(p.b, panelWide, panelHigh, p.panel.Title)
	if len(p.lines) == 0 {
		fmt.Fprintf(p.b, `<text x="%d" y="%d" font-size="13" fill="#9aa3af" text-anchor="middle">no data</text>`, panelWide/2, panelHigh/2)
		return
	}
	top := 0.0
	for _, line := range p.lines {
		top = max(top, highest(line))
	}
	top = p.axes(top)
	// The highest first: where there is no room for all names, those that are nothing go without.
	slices.SortStableFunc(p.lines, func(a, b Line) int { return cmp.Compare(highest(b), highest(a)) })
	for i, line := range p.lines {
		fmt.Fprintf(p.b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.6" stroke-linejoin="round"/>`, p.path(line, top), palette[i%len(palette)])
	}
	p.legend()
}

func highest(l Line) float64 {
	most, _ := greatest(l.SampleStream)
	return most
}

func (p *plot) x(t time.Time) float64 {
	return plotLeft + float64(panelWide-plotLeft-plotRight)*float64(t.Sub(p.From))/float64(p.To.Sub(p.From))
}

func height(v, top float64) float64 { return plotTop + plotHigh*(1-v/top) }

// axes draws them, and gives the number at the top.
func (p *plot) axes(greatest float64) float64 {
	unit := 1.0
	if p.panel.Unit == "s" && greatest >= 2*86400 { // or a round number of seconds would be no round number of days
		unit = 86400
	}
	if p.panel.Unit == "bytes" {
		unit = 1 << 20
	}
	top, steps := ceiling(greatest / unit)
	top *= unit
	for i := range steps + 1 {
		v := top * float64(i) / float64(steps)
		fmt.Fprintf(p.b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#e8ebef"/>`, plotLeft, panelWide-plotRight, height(v, top), height(v, top))
		fmt.Fprintf(p.b, `<text x="%d" y="%.1f" font-size="10.5" fill="#6b7785" text-anchor="end">%s</text>`, plotLeft-6, height(v, top)+3.5, inUnit(v, p.panel.Unit))
	}
	const marks = 4
	for i := range marks + 1 {
		t := p.From.Add(p.To.Sub(p.From) * time.Duration(i) / marks)
		anchor := "middle"
		if i == marks {
			anchor = "end"
		}
		said := "now"
		if i < marks {
			said = "−" + stretch(p.To.Sub(t))
		}
		fmt.Fprintf(p.b, `<text x="%.1f" y="%d" font-size="10.5" fill="#6b7785" text-anchor="%s">%s</text>`, p.x(t), plotTop+plotHigh+15, anchor, said)
	}
	return top
}

// path leaves gaps where there is no number.
func (p *plot) path(line Line, top float64) string {
	var path strings.Builder
	last := time.Time{}
	step := p.To.Sub(p.From) / points
	for _, v := range line.Values {
		if math.IsNaN(float64(v.Value)) || math.IsInf(float64(v.Value), 0) {
			continue
		}
		at, command := v.Timestamp.Time(), "L"
		if at.Sub(last) > step*3/2 {
			command = "M"
		}
		last = at
		fmt.Fprintf(&path, "%s%.1f %.1f", command, p.x(at), height(max(0, float64(v.Value)), top))
	}
	return path.String()
}

// legend names the lines, as many as there is room for.
func (p *plot) legend() {
	const (
		letter = 5.7 // wide, on average
		first  = plotTop + plotHigh + 36
		lowest = panelHigh - 8
	)
	x, y := 12.0, float64(first)
	for i, line := range p.lines {
		name := line.Name
		if name == "" {
			name = "value"
		}
		wide := 18 + letter*float64(len([]rune(name))) + 10
		if x+wide > panelWide-plotRight && x > 12 {
			x, y = 12, y+legendLine
		}
		if left := len(p.lines) - i; y+legendLine > lowest && left > 1 && x+wide+70 > panelWide-plotRight || y > lowest {
			fmt.Fprintf(p.b, `<text x="%.1f" y="%.1f" font-size="11" fill="#6b7785">and %d more</text>`, x, y, left)
			return
		}
		fmt.Fprintf(p.b, `<rect x="%.1f" y="%.1f" width="12" height="3" rx="1.5" fill="%s"/>`, x, y-5, palette[i%len(palette)])
		fmt.Fprintf(p.b, `<text x="%.1f" y="%.1f" font-size="11" fill="#3c4654">%s</text>`, x+17, y, html.EscapeString(name))
		x += wide
	}
}
