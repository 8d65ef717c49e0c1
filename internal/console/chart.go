package console

import (
	"fmt"
	"math"
	"strings"
)

// The charts are drawn in a box of chartWidth by chartHeight and stretched by the browser. Their texts are HTML beside them,
// so that they are not stretched.
const (
	chartWidth  = 600
	chartHeight = 120
)

// chart is a picture of the last hour.
type chart struct {
	Bars  []bar
	Lines []line
	// Top is the value at the upper edge.
	Top string
	// Words say what the picture shows, for people who do not see it.
	Words string
	// Empty says why there is nothing to draw.
	Empty string
}

// bar is a rectangle.
type bar struct {
	X, Y, Width, Height string
	Tone                string
}

// line is a line through points.
type line struct {
	Path string
	Tone string
}

// purchaseChart has one bar a minute, of what was sold, what failed and what was unclear.
func purchaseChart(list []minute) chart {
	var most, sold, failed, unclear int64
	for _, m := range list {
		most = max(most, m.sold+m.failed+m.unclear)
		sold, failed, unclear = sold+m.sold, failed+m.failed, unclear+m.unclear
	}
	top := niceTop(float64(most))
	c := chart{
		Top:   number(top),
		Words: fmt.Sprintf("In the last hour: %d sold, %d failed, %d unclear.", sold, failed, unclear),
	}
	step := float64(chartWidth) / float64(len(list))
	for i, m := range list {
		y := float64(chartHeight)
		for _, part := range []struct {
			value int64
			tone  string
		}{{m.sold, "good"}, {m.failed, "over"}, {m.unclear, "unsure"}} {
			if part.value <= 0 {
				continue
			}
			height := float64(part.value) / top * chartHeight
			y -= height
			c.Bars = append(c.Bars, bar{coordinate(float64(i)*step + 1), coordinate(y), coordinate(step - 2), coordinate(height), part.tone})
		}
	}
	return c
}

// latencyChart has a line for the median and one for the 95th percentile of each minute.
func latencyChart(list []minute) chart {
	parts := []struct {
		part float64
		tone string
	}{{0.95, "p95"}, {0.5, "p50"}}
	most := 0.0
	for _, m := range list {
		if v, ok := m.calls.quantile(0.95); ok {
			most = max(most, v)
		}
	}
	if most == 0 {
		return chart{Empty: "No caller has bought in the last hour."}
	}
	top := niceTop(most * 1000)
	c := chart{Top: milliseconds(top / 1000)}
	step := float64(chartWidth) / float64(len(list))
	for _, p := range parts {
		var path strings.Builder
		drawing := false
		var last float64
		for i, m := range list {
			v, ok := m.calls.quantile(p.part)
			if !ok {
				drawing = false
				continue
			}
			y := coordinate(chartHeight - v*1000/top*chartHeight)
			if !drawing {
				// A minute between two others without calls would be a point that nobody sees, so it begins as a short line.
				fmt.Fprintf(&path, "M%s %s", coordinate(float64(i)*step), y)
			}
			fmt.Fprintf(&path, "L%s %s", coordinate(float64(i+1)*step), y)
			drawing, last = true, v
		}
		c.Lines = append(c.Lines, line{path.String(), p.tone})
		c.Words = fmt.Sprintf("%s: %s in the last minute with calls. ", p.tone, milliseconds(last)) + c.Words
	}
	c.Words = strings.TrimSpace(c.Words)
	return c
}

// niceTop is a round number at or above most.
func niceTop(most float64) float64 {
	if most <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(most)))
	for _, factor := range []float64{1, 2, 5} {
		if top := factor * power; top >= most {
			return max(top, 1)
		}
	}
	return max(10*power, 1)
}

func coordinate(v float64) string { return fmt.Sprintf("%.1f", v) }

func number(v float64) string { return fmt.Sprintf("%g", v) }

func milliseconds(seconds float64) string {
	switch ms := seconds * 1000; {
	case ms < 10:
		return fmt.Sprintf("%.2g ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	default:
		return fmt.Sprintf("%.3g s", seconds)
	}
}
