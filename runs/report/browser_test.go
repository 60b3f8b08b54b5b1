package report

import (
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/modular-bridging/bridge/internal/testenv/browser"
)

// In a browser, nothing is wider than the screen, every chart and picture is drawn, and dark mode
// works.
func TestReportInABrowser(t *testing.T) {
	page := filepath.Join(t.TempDir(), "report.html")
	if err := example().WriteFile(page); err != nil {
		t.Fatal(err)
	}
	const layout = `({
		width: document.scrollingElement.scrollWidth,
		charts: [...document.querySelectorAll("figure svg")].filter(s => s.getBoundingClientRect().height > 100).length,
		labels: [...document.querySelectorAll("figure svg")].every(s => [...s.querySelectorAll("text")].every(x => {
			const a = x.getBoundingClientRect(), b = s.getBoundingClientRect();
			return a.left >= b.left - 1 && a.right <= b.right + 1 && a.top >= b.top - 1 && a.bottom <= b.bottom + 1 })),
		pictures: [...document.images].filter(i => i.complete && i.naturalWidth > 0).length,
		page: getComputedStyle(document.body).backgroundColor,
		ink: getComputedStyle(document.body).color,
	})`
	type seen struct {
		Width, Charts, Pictures int
		Labels                  bool
		Page, Ink               string
	}
	var desktop, phone, dark seen
	browser.Browse(t, page,
		chromedp.EmulateViewport(1200, 900), chromedp.Evaluate(layout, &desktop),
		chromedp.EmulateViewport(360, 740), chromedp.Evaluate(layout, &phone),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}),
		chromedp.Evaluate(layout, &dark))
	for name, s := range map[string]seen{"desktop": desktop, "phone": phone} {
		if s.Charts != 2 || s.Pictures != 1 || !s.Labels {
			t.Errorf("%s: %d charts, %d pictures, labels inside their charts: %v; want 2, 1, true", name, s.Charts, s.Pictures, s.Labels)
		}
	}
	if phone.Width > 360 {
		t.Errorf("on a phone the page is %d pixels wide, want 360", phone.Width)
	}
	if dark.Page == desktop.Page || dark.Ink == desktop.Ink {
		t.Errorf("in dark mode: page %s, ink %s, the same as in light mode", dark.Page, dark.Ink)
	}
}
