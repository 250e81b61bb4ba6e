// SPDX-License-Identifier: BSD-3-Clause

package web

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"chive/internal/control"
)

var shots = flag.String("shots", "", "folder for pictures of the page")

// browserTime bounds one test in the browser.
const browserTime = 30 * time.Second

// browser starts Chromium, headless, for a test and those below it. Without one the test
// is skipped.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		if os.Getenv("CHIVE_REQUIRE_TOOLS") == "1" {
			t.Fatal("there is no Chromium, and CHIVE_REQUIRE_TOOLS=1")
		}
		t.Skip("SKIPPED: there is no Chromium; the page was not tested")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"), // nothing leaves this machine
		chromedp.Flag("disable-component-update", true), chromedp.Flag("no-pings", true), chromedp.Flag("lang", "en-GB"),
	)
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits until it has ended, so that its folder can go
		end()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// step is something that a tab does.
type step = chromedp.Action[chromedp.Void]

// asks is a command of the browser's protocol as a step.
func asks[P, R any](command cdp.Command[P, R], params P) step {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, command, params)
		return chromedp.Void{}, err
	}
}

// likes makes the tab's user like a colour scheme.
func likes(scheme string) step {
	return asks(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

func click(css string) step { return chromedp.Click(chromedp.CSS(css)) }

// tab is a tab of the browser with the page of a daemon in it.
type tab struct {
	t       *testing.T
	ctx     context.Context
	*served        // nil where another process serves the page
	fake    *fake  // nil there, too
	at      string // the page's address

	mu       sync.Mutex
	requests []string // that the tab made, by address
	words    []string // errors and what was written to the console
}

// open opens a tab and signs in.
func open(t *testing.T, b context.Context, f *fake, before ...step) *tab {
	t.Helper()
	s := serve(t, control.Handler(f, &f.hub))
	p := openAt(t, b, s.addr, s.tokens.Mint(), before...)
	p.fake, p.served = f, s
	return p
}

// openAt opens a tab with the page at an address, and signs in.
func openAt(t *testing.T, b context.Context, addr, token string, before ...step) *tab {
	t.Helper()
	p := &tab{t: t, at: "http://" + addr + "/"}
	ctx, end := chromedp.NewContext(b)
	t.Cleanup(end)
	if err := chromedp.Do(ctx); err != nil { // which has no time, as it is the tab's life
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(ctx, browserTime)
	t.Cleanup(stop)
	p.ctx = ctx
	err := chromedp.Listen(ctx, func(e any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch e := e.(type) {
		case *network.EventRequestWillBeSent:
			p.requests = append(p.requests, e.Request.URL)
		case *cdpruntime.EventExceptionThrown:
			p.words = append(p.words, e.ExceptionDetails.Text, fmt.Sprintf("%+v", e.ExceptionDetails.Exception))
		case *cdpruntime.EventConsoleAPICalled:
			p.words = append(p.words, fmt.Sprint(e.Type))
		case *cdplog.EventEntryAdded:
			if strings.Contains(e.Entry.Text, "404") { // what the browser writes to the console by itself
				p.words = append(p.words, e.Entry.Text+" "+e.Entry.URL)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	p.run(asks(network.Enable, network.EnableParams{}), asks(cdplog.Enable, cdp.Empty{}), chromedp.EmulateViewport(1180, 900))
	p.run(before...)
	p.run(chromedp.Navigate(p.at + "#token=" + token))
	p.sees("main h1", "Status")
	return p
}

func (p *tab) run(steps ...step) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatalf("%v; the page says %v", err, p.said())
	}
}

func (p *tab) said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.words
}

// holds waits until an expression of the page is true.
func (p *tab) holds(what string) {
	p.t.Helper()
	err := chromedp.Do(p.ctx, chromedp.Poll[chromedp.Void](what, chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(8*time.Second)))
	if err != nil {
		text, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string]("location.href + '\\n' + document.body.innerText"))
		p.t.Fatalf("never so: %s (%v); the page says %v, and shows\n%s", what, err, p.said(), text)
	}
}

// sees waits until an element has a text in it.
func (p *tab) sees(selector, text string) {
	p.t.Helper()
	p.holds(fmt.Sprintf("[...document.querySelectorAll(%q)].some((e) => e.textContent.includes(%q))", selector, text))
}

func (p *tab) is(what string) bool {
	p.t.Helper()
	return value[bool](p, "!!("+what+")")
}

// value is that of an expression of the page.
func value[T any](p *tab, what string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](what))
	if err != nil {
		p.t.Fatalf("%v; the page says %v", err, p.said())
	}
	return v
}

// visit goes to a view by its link.
func (p *tab) visit(view, title string) {
	p.t.Helper()
	p.run(click(`nav a[href="#/` + view + `"]`))
	p.sees("main h1", title)
	p.holds(fmt.Sprintf("document.querySelector('nav a[aria-current=page]').hash === '#/%s'", view))
}

func (p *tab) shot(name string) {
	if *shots == "" {
		return
	}
	p.t.Helper()
	data, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.MkdirAll(*shots, 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*shots, name+".png"), data, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// TestPageInChromium drives the page in a real browser. Spec: PAGE-2, PAGE-3, PAGE-4.
func TestPageInChromium(t *testing.T) {
	b := browser(t)
	t.Run("each view shows live data", func(t *testing.T) { viewsAreLive(t, b) })
	t.Run("a testnet's network", func(t *testing.T) { networkIsLive(t, b) })
	t.Run("wrong tokens get nothing", func(t *testing.T) { wrongTokensGetNothing(t, b) })
	t.Run("hostile text does not run", func(t *testing.T) { hostileTextDoesNotRun(t, b) })
	t.Run("keyboard alone", func(t *testing.T) { keyboardIsEnough(t, b) })
	t.Run("narrow", func(t *testing.T) { narrowFits(t, b) })
	t.Run("an empty client and a newcomer", func(t *testing.T) { newcomersAreNotAlarmed(t, b) })
	t.Run("sizes", func(t *testing.T) { sizesHaveTheirUnit(t, b) })
	t.Run("contrast", func(t *testing.T) { contrastIsEnough(t, b) })
	if *shots != "" {
		t.Run("pictures", func(t *testing.T) { pictures(t, b) })
	}
}

func viewsAreLive(t *testing.T, b context.Context) {
	p := open(t, b, newFake())
	p.holds("location.hash === '#/status'") // the token is gone
	if p.is("Object.keys(localStorage).length > 0 || document.cookie !== '' || sessionStorage.length !== 1") {
		t.Error("the secret is elsewhere than in session storage")
	}

	p.sees("[data-name=state]", "Ready")
	p.sees("main", "127.0.0.1:9250")
	p.sees("main", "could change it")
	p.fake.change("bootstrap", func(f *fake) {
		c := *f.status.Client
		c.State, c.Percent, c.Tag, c.Cause, c.Text = "table", 45, "loading_directory", "clock", "This machine's clock is two hours ahead."
		f.status.Client = &c
	})
	p.sees("[data-name=state]", "fetching the list of relays")
	p.sees("main", "This machine's clock is two hours ahead.")
	p.holds("document.querySelector('[role=progressbar]').getAttribute('aria-valuenow') === '45'")
	p.sees("#says", "25 percent")
	p.fake.change("bootstrap", func(f *fake) {
		c := *newFake().status.Client
		c.Cause, c.Text, c.Fix = "disk", "What was learnt could not be saved.", "make room on the disk"
		f.status.Client = &c
	})
	p.sees("[data-name=state]", "Ready")
	p.sees(".hero", "could not be saved")
	p.sees("[data-name=cause]", "Cause: disk.")
	p.sees("[data-name=fix]", "ake room on the disk")
	p.fake.change("bootstrap", func(f *fake) { f.status.Client = newFake().status.Client })
	p.holds("!document.querySelector('[data-name=cause]')")
	p.sees("[data-name=state]", "Ready")

	p.visit("circuits", "Circuits")
	p.holds("document.querySelectorAll('.circuit').length === 3")
	p.sees(".circuit", rid(11)[:10])
	p.sees(".circuit .used", "example.com:443")
	p.sees(".circuit details", "Drawn by weight among 24 exits")
	p.fake.change("circuit", func(f *fake) {
		f.status.Client.Circuits = append(f.status.Client.Circuits, fakeCircuit("c4", "UDP port 53", 0, time.Second, 2, 31, 32))
	})
	p.sees(".circuit", "Built for UDP port 53")
	p.run(click(`[data-do="close circuit"][data-id="c4"]`))
	p.holds("document.querySelector('dialog').open")
	p.run(click(`[data-do="dismiss"]`))
	p.run(click(`[data-do="close circuit"][data-id="c4"]`))
	p.run(click(`[data-do="agree"]`))
	p.holds("document.querySelectorAll('.circuit').length === 3")
	p.run(click(`[data-do="new identity"]`))
	p.run(click(`[data-do="agree"]`))
	p.sees(".note.good", "A new identity has begun.")
	if did := p.fake.did(); did != "close c4, newnym" {
		t.Errorf("the daemon was asked to: %s", did)
	}

	p.visit("streams", "Streams")
	p.holds("document.querySelectorAll('.stream').length === 4")
	p.sees("main", "the last 200 that failed or were slow")
	p.run(click(`[data-do="show"][data-id="bad"]`))
	p.holds("document.querySelectorAll('.stream').length === 2")
	p.run(click(".stream summary"))
	p.holds("document.querySelector('.stream').open")
	for _, text := range []string{"did not answer within 10 s", "What to do", "may refuse connections from exits", "hop 2", "hop 3, the last", "circuit_failed"} {
		p.sees(".stream[open] .story", text)
	}
	p.fake.change("stream", func(f *fake) {
		f.streams = append([]control.Stream{{ID: "s10", Kind: "connect", Target: "new.example:80", State: control.StreamFailed, Reason: "exit_policy", Began: noon}}, f.streams...)
	})
	p.sees(".stream", "new.example:80")
	p.holds("document.querySelectorAll('.stream').length === 3 && document.querySelectorAll('.stream')[1].open") // what was open stays open

	p.visit("relay", "Relay")
	for _, text := range []string{"On the list and running", "lauch", "confirmed by 3 relays", "168 GiB of 200 GiB a month", "0.43 %", "34 days old", "93 GiB since the start", "143 MiB of 512 MiB"} {
		p.sees("main", text)
	}
	p.sees("main", "The router forwards 203.0.113.5:9240")
	p.sees("main", "held traffic back for 41s coming in")
	p.fake.change("relay", func(f *fake) {
		r := &f.status.Relays[0]
		r.Exit, r.Permits, r.RateUse = "web", "tcp 80, 443", &control.RateUse{Binds: true, Text: "It binds: in the last 1m0s traffic waited for it."}
	})
	for _, text := range []string{"tcp 80, 443", "binds now", "traffic waited for it"} {
		p.sees("main", text)
	}

	p.visit("settings", "Settings")
	p.sees("main", "/etc/chive/chive.toml:4")
	p.run(chromedp.SendKeys(chromedp.CSS("input[type=search]"), "RELAY."))
	p.holds("document.querySelectorAll('tbody tr').length === 2")

	p.visit("status", "Status")
	p.holds("!['', '0 B/s'].includes(document.querySelector('[data-name=down]').textContent) && document.querySelector('path.down')")
	p.visit("settings", "Settings")
	p.holds("document.querySelectorAll('tbody tr').length === 6") // what was looked for is forgotten

	// A reload keeps the session; signing out ends it.
	p.run(chromedp.Reload())
	p.sees("main h1", "Settings")
	p.run(click(`[data-do="sign out"]`))
	p.sees("main h1", "Open this page with a fresh address")
	if p.is("sessionStorage.length > 0") {
		t.Error("the secret is left")
	}
	p.sees(".note.plain", "You have signed out.")
	if p.is("document.querySelector('main').textContent.includes('Warning')") {
		t.Error("who signed out is warned")
	}
	p.ownRequestsOnly()
}

// ownRequestsOnly checks where the tab's requests went, and that nothing was wrong.
func (p *tab) ownRequestsOnly() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	events := false
	for _, address := range p.requests {
		path, own := strings.CutPrefix(address, p.at)
		if !own {
			p.t.Errorf("the page asked %s", address)
		}
		if strings.Contains(path, "token=") && !strings.HasPrefix(path, "#token=") {
			p.t.Errorf("a token was sent in %s", address)
		}
		events = events || path == "v1/events"
	}
	if !events {
		p.t.Error("the page follows no events")
	}
	if len(p.words) > 0 {
		p.t.Errorf("the page says %v", p.words)
	}
}

func networkIsLive(t *testing.T, b context.Context) {
	p := open(t, b, newTestnetWithout())
	if p.is("!!document.querySelector('nav a[href=\"#/relay\"]')") {
		t.Error("a testnet without one has the view relay")
	}
	p.visit("settings", "Settings")
	p.sees("main", "This process read no configuration")
	p.visit("network", "Network")
	p.holds("document.querySelectorAll('tbody tr').length === 12 && document.querySelectorAll('.ring .line').length === 3")
	p.sees("main", "Its clock differs")
	p.sees("main", "10 are running")
	p.fake.change("relay", func(f *fake) {
		f.status.Relays[4].Running = true
		f.status.Client.Circuits = f.status.Client.Circuits[:1]
	})
	p.sees("main", "11 are running")
	p.sees("td", "< 1 MiB") // relay 0 has forwarded nothing that shows
	p.holds("document.querySelectorAll('.ring .line').length === 1")
	p.fake.change("relay", func(f *fake) { f.status.Relays[3].Abstains = f.status.Relays[6].Abstains })
	p.sees(".note.warning", "Relay3, relay6: Its clock differs")
	p.fake.change("relay", func(f *fake) { // as all are in a network's first seconds
		for i := range f.status.Relays {
			f.status.Relays[i].Abstains, f.status.Relays[i].Directory.CurrentEpoch = "the first list is still to come", 0
		}
	})
	p.sees(".note.info", "All relays: the first list")
	p.holds("document.querySelectorAll('.note').length === 1")
	p.ownRequestsOnly()
}

func wrongTokensGetNothing(t *testing.T, b context.Context) {
	p := open(t, b, newFake())
	token := p.tokens.Mint()
	s := serve(t, control.Handler(p.fake, nil)) // the same daemon's page, elsewhere: its tokens are its own
	for name, address := range map[string]string{
		"another's": "http://" + s.addr + "/#token=" + token, "invented": "http://" + s.addr + "/#token=" + newSecret(),
		"none": "http://" + s.addr + "/", "a view": "http://" + s.addr + "/#/circuits",
	} {
		ctx, end := chromedp.NewContext(b)
		err := chromedp.Do(ctx, chromedp.Navigate(address))
		text := ""
		if err == nil {
			text, err = chromedp.Run(ctx, chromedp.Poll[string]("document.querySelector('main h1')?.textContent"))
		}
		end()
		if err != nil || text != "Open this page with a fresh address" {
			t.Errorf("%s: %q %v", name, text, err)
		}
	}
	if s.asked.Load() != 0 {
		t.Error("the API was reached")
	}

	// A page of another origin reads nothing and does nothing, even with the secret.
	secret := value[string](p, "sessionStorage.getItem('chive.session')")
	ctx, end := chromedp.NewContext(b)
	defer end()
	if err := chromedp.Do(ctx, chromedp.Navigate("http://"+s.addr+"/icon.svg")); err != nil {
		t.Fatal(err)
	}
	got, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf(
		`Promise.all(['GET', 'POST'].flatMap((method) => ['cors', 'no-cors'].map((mode) => fetch('http://%s/v1/newnym', {method, mode, headers: mode === 'cors' ? {Authorization: 'Bearer %s'} : {}}).then((r) => r.text(), () => '')))).then((all) => all.join(''))`,
		p.addr, secret), chromedp.EvalAwaitPromise))
	if err != nil || got != "" {
		t.Errorf("another origin read %q %v", got, err)
	}
	if did := p.fake.did(); did != "" {
		t.Errorf("another origin did %s", did)
	}

	// A daemon that is gone is missed, and what it last said stays, but not as if it were
	// so now.
	p.sees("[data-name=state]", "Ready")
	p.stop()
	p.sees(".note.alarm", "The daemon does not answer")
	p.sees("#says", "The daemon does not answer")
	p.sees("[data-name=state]", "Not known")
	p.sees(".hero", "it was: Ready")
	if p.is("document.querySelector('.dot.good, nav .count') || document.querySelector('[data-name=down]').textContent !== '–'") {
		t.Error("what was is shown as what is")
	}
	for _, scheme := range []string{"light", "dark"} {
		p.run(likes(scheme))
		for view, title := range userViews {
			p.visit(view, title)
			p.run(chromedp.Evaluate[chromedp.Void]("document.querySelectorAll('details').forEach((d) => { d.open = true; })"))
			if bad := value[[]string](p, lowContrast); len(bad) > 0 {
				t.Errorf("lost, %s, %s: contrast below 4.5: %v", scheme, view, bad)
			}
		}
		p.visit("relay", "Relay")
		p.sees("[data-name=relay]", "Not known")
	}
	p.mu.Lock()
	p.words = nil
	p.mu.Unlock()
	p.ownRequestsOnly()
}

func hostileTextDoesNotRun(t *testing.T, b context.Context) {
	f := newFake()
	f.status.Network.Name, f.status.Version = hostile, hostile
	f.status.Listeners[0].Address, f.status.Listeners[0].Text = hostile, hostile
	c := f.status.Client
	c.Text, c.Clock, c.Directory.Freshness, c.Guards[0].Why, c.Guards[0].State = hostile, hostile, hostile, hostile, hostile
	c.Directory.Notes[0].Text = hostile
	c.Circuits[0].ID, c.Circuits[0].Purpose, c.Circuits[0].Hops[0].Why, c.Circuits[0].Hops[0].RID = hostile, hostile, hostile, hostile
	f.streams[0].ID, f.streams[0].Target, f.streams[0].Text, f.streams[0].Fix, f.streams[0].Tries[0].Text, f.streams[0].Reason = hostile, hostile, hostile, hostile, hostile, hostile
	r := &f.status.Relays[0]
	r.Nickname, r.Exit, r.Reachable.Text, r.Weight.Why, r.Overload = hostile, hostile, hostile, hostile, hostile
	p := open(t, b, f)
	for view, title := range userViews {
		p.visit(view, title)
		if view != "settings" {
			p.sees("main", hostile) // as text
		}
		if p.is("window.ran === 1 || !!document.querySelector('main img, main script')") {
			t.Errorf("%s: text became markup", view)
		}
	}
	// Were it to become markup, the policy would still stop it.
	if p.is(`(() => { try { document.querySelector('main').innerHTML = '<img src=x onerror="window.ran=1">'; return true; } catch { return false; } })()`) {
		t.Error("text can be made markup")
	}
	p.ownRequestsOnly()
}

func keyboardIsEnough(t *testing.T, b context.Context) {
	p := open(t, b, newFake())
	press := func(keys string) { p.t.Helper(); p.run(chromedp.KeyEvent(keys)) }
	// until presses a key until what is true of the element that has the focus.
	until := func(key, what string) {
		t.Helper()
		for range 60 {
			if p.is("((e) => " + what + ")(document.activeElement)") {
				if p.is("(() => { const s = getComputedStyle(document.activeElement); return s.outlineStyle === 'none' || parseFloat(s.outlineWidth) < 2; })()") {
					t.Errorf("where the focus is cannot be seen: %s", what)
				}
				return
			}
			press(key)
		}
		t.Fatalf("never reached by %q: %s", key, what)
	}
	press(kb.Tab)
	if !p.is("document.activeElement.classList.contains('skip')") {
		t.Error("the first stop is not the way past the views")
	}
	press(kb.Enter)
	p.holds("document.activeElement.id === 'main'")

	p.run(chromedp.Evaluate[chromedp.Void]("document.activeElement.blur()"))
	until(kb.Tab, "e.hash === '#/streams'")
	press(kb.Enter)
	p.sees("main h1", "Streams")
	until(kb.Tab, "e.dataset?.id === 'bad'")
	press(" ")
	p.holds("document.querySelector('[data-id=bad]').getAttribute('aria-pressed') === 'true'")
	until(kb.Tab, "e.tagName === 'SUMMARY'")
	press(kb.Enter)
	p.holds("document.querySelector('.stream').open")
	p.fake.change("stream", func(f *fake) { f.streams[1].Down++ }) // news do not take the focus away
	p.holds("document.activeElement.tagName === 'SUMMARY'")

	p.run(chromedp.Navigate("http://" + p.addr + "/#/circuits"))
	p.sees("main h1", "Circuits")
	until(kb.Tab, "e.dataset?.do === 'new identity'")
	press(kb.Enter)
	p.holds("document.querySelector('dialog').open && document.querySelector('dialog').contains(document.activeElement)")
	press(kb.Escape)
	p.holds("!document.querySelector('dialog').open && document.activeElement.dataset.do === 'new identity'")
	if did := p.fake.did(); did != "" {
		t.Errorf("escape did %s", did)
	}
	press(kb.Enter)
	until(kb.Tab, "e.dataset?.do === 'agree'")
	press(kb.Enter)
	p.sees("#says", "A new identity has begun.")
	p.holds("document.activeElement.dataset.do === 'new identity'")
	if did := p.fake.did(); did != "newnym" {
		t.Errorf("enter did %s", did)
	}
}
