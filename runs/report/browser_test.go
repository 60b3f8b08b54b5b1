package report

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/modular-bridging/bridge/internal/testenv"
)

// browse opens a page in headless Chromium and runs actions. It fails if the page throws an
// exception or requests anything except itself.
func browse(t *testing.T, page string, actions ...chromedp.Action) {
	t.Helper()
	var program string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			program = found
			break
		}
	}
	if program == "" {
		testenv.Lacking(t, "a browser", errors.New("no chromium, chromium-browser or google-chrome in PATH"))
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	url := "file://" + page
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("the page threw: %v", e.ExceptionDetails)
		case *network.EventRequestWillBeSent:
			if u := e.Request.URL; u != url && len(u) > 4 && u[:5] != "data:" {
				t.Errorf("the page requested %s", u)
			}
		}
	})
	start := []chromedp.Action{network.Enable(), chromedp.Navigate(url)}
	if err := chromedp.Run(ctx, append(start, actions...)...); err != nil {
		t.Fatal(err)
	}
}

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
	browse(t, page,
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
