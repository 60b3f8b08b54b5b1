// Package browser opens pages in headless Chromium, for tests of HTML.
package browser

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/modular-bridging/bridge/internal/testenv"
)

// Browse opens a page in headless Chromium and runs actions. It fails if the page throws an
// exception or requests anything except itself.
func Browse(t *testing.T, page string, actions ...chromedp.Action) {
	t.Helper()
	address := "file://" + page
	run(t, address, func(u string) bool { return u == address }, actions)
}

// Visit is [Browse] for a page of a server. The page may request anything of its server and nothing
// else. Visit also fails if the page breaks its content security policy.
func Visit(t *testing.T, address string, actions ...chromedp.Action) {
	t.Helper()
	origin, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	run(t, address, func(u string) bool {
		parsed, err := url.Parse(u)
		return err == nil && parsed.Scheme == origin.Scheme && parsed.Host == origin.Host
	}, actions)
}

func run(t *testing.T, address string, allowed func(address string) bool, actions []chromedp.Action) {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program(t)), chromedp.NoSandbox)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("the page threw: %v", e.ExceptionDetails)
		case *network.EventRequestWillBeSent:
			u := e.Request.URL
			if !allowed(u) && !strings.HasPrefix(u, "data:") && !strings.HasPrefix(u, "blob:") {
				t.Errorf("the page requested %s", u)
			}
		case *log.EventEntryAdded:
			if e.Entry.Source == log.SourceSecurity {
				t.Errorf("the browser reports: %s", e.Entry.Text)
			}
		}
	})
	start := []chromedp.Action{network.Enable(), log.Enable(), chromedp.Navigate(address)}
	if err := chromedp.Run(ctx, append(start, actions...)...); err != nil {
		t.Fatal(err)
	}
}

// program returns the browser's path.
func program(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	testenv.Lacking(t, "a browser", errors.New("no chromium, chromium-browser or google-chrome in PATH"))
	return ""
}

// ScreenshotsVariable is the environment variable with the folder that [Screenshot] writes to.
const ScreenshotsVariable = "BRIDGE_TEST_SCREENSHOTS"

// Screenshot returns the action that writes what the window shows as NAME.png into the folder in
// [ScreenshotsVariable]. If the variable is not set, the action does nothing.
func Screenshot(name string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		dir := os.Getenv(ScreenshotsVariable)
		if dir == "" {
			return nil
		}
		var png []byte
		if err := chromedp.CaptureScreenshot(&png).Do(ctx); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
	})
}

// Accessible returns the action that runs axe-core on the page and fails the test for each problem
// that it finds. state names what the page shows. [Axe] returns the script.
func Accessible(t *testing.T, axe, state string) chromedp.Action {
	const check = `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations.flatMap(v => v.nodes.map(n => v.id + " (" + v.impact + "): " + n.target.join(" ") + ": " + n.failureSummary)))`
	return chromedp.ActionFunc(func(ctx context.Context) error {
		var present bool
		if err := chromedp.Evaluate(`typeof axe === "object"`, &present).Do(ctx); err != nil {
			return err
		}
		if !present {
			if err := chromedp.Evaluate(axe, nil).Do(ctx); err != nil {
				return fmt.Errorf("axe-core does not load: %w", err)
			}
		}
		var problems []string
		if err := chromedp.Evaluate(check, &problems, awaitPromise).Do(ctx); err != nil {
			return fmt.Errorf("axe-core: %w", err)
		}
		for _, p := range problems {
			t.Errorf("%s: axe-core finds %s", state, p)
		}
		return nil
	})
}

func awaitPromise(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }

// Axe returns the script of axe-core, which `npm ci --prefix tools/axe` installs. Without it, the test
// ends with [testenv.Lacking].
func Axe(t *testing.T) string {
	t.Helper()
	script, err := os.ReadFile(filepath.Join(testenv.Root(), "tools", "axe", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		testenv.Lacking(t, "axe-core", fmt.Errorf("%w: run npm ci --prefix tools/axe", err))
	}
	return string(script)
}
