// SPDX-License-Identifier: BSD-3-Clause

package report

import (
	"fmt"
	"strings"
)

// Measures of the chart, in pixels.
const (
	chartWidth = 860
	labelWidth = 250
	barHeight  = 14
	barGap     = 2
	groupGap   = 14
	chartTop   = 64
	valueWidth = 150
)

// colours of the systems, in their order; chive has the last.
var (
	otherColours = []string{"#9e9e9e", "#616161", "#bdbdbd"}
	chiveColour  = "#2e7d32"
)

// SVG returns a bar chart of the main figures: one group for each, each group on a
// scale of its own, with a line from the least to the most of the runs.
func (r *Report) SVG() []byte {
	var figures []Figure
	for _, f := range Figures() {
		if f.Chart && r.most(f) > 0 {
			figures = append(figures, f)
		}
	}
	group := len(r.Systems)*(barHeight+barGap) + groupGap
	height := chartTop + len(figures)*group + 16
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12">`+"\n", chartWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", chartWidth, height)
	fmt.Fprintf(&b, `<text x="16" y="24" font-size="16">chive and Tor side by side, %s</text>`+"\n", r.Began.UTC().Format("2006-01-02"))
	x := 16
	for i := range r.Systems {
		fmt.Fprintf(&b, `<rect x="%d" y="38" width="12" height="12" fill="%s"/><text x="%d" y="48">%s</text>`+"\n", x, r.colour(i), x+16, escape(r.Systems[i].Name))
		x += 40 + 7*len(r.Systems[i].Name)
	}
	y := chartTop
	for _, f := range figures {
		r.bars(&b, f, y)
		y += group
	}
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

// bars draws the group of one figure at height y.
func (r *Report) bars(b *strings.Builder, f Figure, y int) {
	better := "less is better"
	if f.Higher {
		better = "more is better"
	}
	fmt.Fprintf(b, `<text x="16" y="%d">%s</text>`, y+11, escape(f.Title))
	fmt.Fprintf(b, `<text x="16" y="%d" fill="#757575" font-size="10">%s, %s</text>`+"\n", y+24, escape(f.Unit), better)
	scale := float64(chartWidth-labelWidth-valueWidth) / r.most(f)
	for i := range r.Systems {
		s, ok := r.Systems[i].Figures[f.ID]
		if !ok {
			y += barHeight + barGap
			continue
		}
		width := max(s.Median*scale, 1)
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, labelWidth, y, width, barHeight, r.colour(i))
		if s.Count > 1 {
			fmt.Fprintf(b, `<path d="M%.1f %dH%.1f" stroke="#000000"/>`, labelWidth+s.Min*scale, y+barHeight/2, labelWidth+s.Max*scale)
		}
		fmt.Fprintf(b, `<text x="%.1f" y="%d">%s</text>`+"\n", labelWidth+max(width, s.Max*scale)+6, y+11, escape(number(s.Median, f.Decimals)))
		y += barHeight + barGap
	}
}

// most is the largest value of a figure.
func (r *Report) most(f Figure) float64 {
	var most float64
	for i := range r.Systems {
		most = max(most, r.Systems[i].Figures[f.ID].Max)
	}
	return most
}

func (r *Report) colour(i int) string {
	if r.Systems[i].Chive {
		return chiveColour
	}
	return otherColours[i%len(otherColours)]
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}
