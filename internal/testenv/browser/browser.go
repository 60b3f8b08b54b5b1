// Package browser opens pages in headless Chromium, for tests of HTML.
package browser

import (
	"context"
	"errors"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/modular-bridging/bridge/internal/testenv"
)

// Browse opens a page in headless Chromium and runs actions. It fails if the page throws an
// exception or requests anything except itself.
func Browse(t *testing.T, page string, actions ...chromedp.Action) {
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
