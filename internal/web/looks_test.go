// SPDX-License-Identifier: BSD-3-Clause

package web

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"chive/internal/control"
)

func narrowFits(t *testing.T, b context.Context) {
	for name, f := range map[string]*fake{"user": newFake(), "testnet": newTestnet()} {
		f.streams[0].Target = strings.Repeat("averylongname", 15) + ".example:443"
		p := open(t, b, f, chromedp.EmulateViewport(360, 740))
		views := maps.Clone(userViews)
		if name == "testnet" {
			delete(views, "relay")
			views["network"] = "Network"
		}
		for view, title := range views {
			p.visit(view, title)
			p.run(chromedp.Evaluate[chromedp.Void]("document.querySelectorAll('details').forEach((d) => { d.open = true; })"))
			wide := value[[]string](p, `[...document.querySelectorAll('body *')].filter((e) => !e.closest('.unseen, thead, svg') && e.getBoundingClientRect().right > 360.5).map((e) => e.tagName + '.' + e.className).concat(document.documentElement.scrollWidth > 360 ? ['page: ' + document.documentElement.scrollWidth] : [])`)
			if len(wide) > 0 {
				t.Errorf("%s, %s: wider than 360 px: %v", name, view, wide)
			}
			if cut := value[[]string](p, cutLabels); view == "network" && len(cut) > 0 {
				t.Errorf("names of the ring are cut, small or missing: %v", cut)
			}
		}
	}
}

// cutLabels lists the names around the ring that are not all there, or too small.
const cutLabels = `((r) => {
	if (!r) return ['no ring'];
	const box = r.getBoundingClientRect();
	const all = [...r.querySelectorAll('text')];
	return (all.length ? [] : ['no names']).concat(all.filter((e) => {
		const b = e.getBoundingClientRect();
		return b.left < box.left - 1 || b.right > box.right + 1 || b.top < box.top - 1 || b.bottom > box.bottom + 1 || b.height < 12;
	}).map((e) => e.textContent));
})(document.querySelector('svg.ring:not(.keys svg)'))`

// newcomersAreNotAlarmed shows a client without streams, and a relay that began just now.
func newcomersAreNotAlarmed(t *testing.T, b context.Context) {
	f := newFake()
	f.streams = nil
	c, r := f.status.Client, &f.status.Relays[0]
	c.Guards[0].Until = noon.Add(5 * time.Minute)
	r.Listed, r.Running, r.AgeDays, r.Traffic.Forwarded, r.Reachable, r.Weight = false, false, 0, 0, nil, nil
	r.Joining = "it does the work that newcomers have to do: minutes of a processor"
	stalled := control.Note{Level: control.LevelWarning, Code: "stalled", Text: "This relay has received no new list for 2 epochs."}
	r.Directory.Notes = append(slices.Clone(r.Directory.Notes), stalled)
	p := open(t, b, f)
	p.sees(".note.info", "This relay is joining, and has not been sent the newest list yet")
	if p.is("[...document.querySelectorAll('.note.warning')].some((e) => e.textContent.includes('no new list'))") {
		t.Error("a newcomer is warned")
	}
	p.visit("circuits", "Circuits")
	p.holds("document.querySelector('.firm td:nth-child(3)').textContent.includes(':')") // a time, as it is today
	if p.is("[...document.querySelectorAll('.firm td:nth-child(-n + 3) span')].some((e) => e.getClientRects().length > 1)") {
		t.Error("a guard's state wraps")
	}
	p.shot("new-circuits")
	p.visit("streams", "Streams")
	p.sees("main", "No stream is open, and none failed or was slow. Point a program at socks5h://127.0.0.1:9250.")
	if p.is("document.querySelector('main code').getBoundingClientRect().height > 30 || document.querySelector('main .card p').getBoundingClientRect().height > 40") {
		t.Error("the address stands by itself")
	}
	p.shot("new-streams")
	p.run(click(`[data-do="show"][data-id="open"]`))
	p.sees("main .card", "No stream is open. Point")
	p.visit("relay", "Relay")
	p.sees("[data-name=relay]", "Joining: not on the list yet")
	p.sees("dd", "less than 1 MiB since the start")
	p.holds("[...document.querySelectorAll('dd')].some((e) => e.textContent === 'new')")
	p.shot("new-relay")
	p.fake.change("relay", func(f *fake) { // whom others cannot reach does not get there by itself
		f.status.Relays[0].Reachable = &control.Reachable{State: "no", Text: "The port is closed."}
	})
	p.sees("[data-name=relay]", "Not on the list yet")
	p.visit("status", "Status")
	p.sees(".note.warning", "no new list for 2 epochs")
	p.ownRequestsOnly()
}

// sizesHaveTheirUnit shows streams whose bytes are about to fill a unit: it is the next one's
// as soon as its figure would be 1024.
func sizesHaveTheirUnit(t *testing.T, b context.Context) {
	f := newFake()
	one := f.streams[0]
	f.streams = nil
	sizes := []struct {
		bytes uint64
		want  string
	}{
		{0, "0 B"}, {1023, "1023 B"}, {1024, "1.0 KiB"}, {102_348, "99.9 KiB"}, {102_399, "100 KiB"}, {1_047_900, "1023 KiB"}, {1_048_063, "1023 KiB"}, {1_048_064, "1.0 MiB"},
		{1_048_500, "1.0 MiB"}, {1 << 20, "1.0 MiB"}, {1<<30 - 1<<19, "1.0 GiB"}, {1<<30 - 1<<19 - 1, "1023 MiB"}, {1<<40 - 1, "1.0 TiB"},
	}
	for i, s := range sizes {
		one.ID, one.Down, one.Up = fmt.Sprintf("s%d", i), s.bytes, 1
		f.streams = append(f.streams, one)
	}
	p := open(t, b, f)
	p.visit("streams", "Streams")
	p.sees(".figures", "down")
	got := value[[]string](p, "[...document.querySelectorAll('.figures')].map((e) => e.textContent)")
	if len(got) != len(sizes) {
		t.Fatalf("%d streams are shown: %q", len(got), got)
	}
	for i, s := range sizes {
		if want := s.want + " down, 1 B up"; got[i] != want {
			t.Errorf("%d bytes: %q, want %q", s.bytes, got[i], want)
		}
	}
}

// lowContrast lists the texts that are hard to read.
const lowContrast = `(() => {
	const rgb = (c) => { const m = c.match(/[\d.]+/g).map(Number); return { v: m.slice(0, 3), a: m[3] ?? 1 }; };
	const light = (v) => { const [r, g, b] = v.map((x) => { x /= 255; return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
	const out = [];
	for (const e of document.querySelectorAll('body *')) {
		if (e.closest('svg, noscript, .unseen, .skip') || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
		let at = e, under = null;
		for (; at && !under; at = at.parentElement) { const c = rgb(getComputedStyle(at).backgroundColor); if (c.a === 1) under = c.v; }
		const [x, y] = [light(rgb(getComputedStyle(e).color).v), light(under ?? [255, 255, 255])].sort((p, q) => q - p);
		const ratio = (x + 0.05) / (y + 0.05);
		if (ratio < 4.5) out.push(e.tagName + '.' + e.className + ' ' + ratio.toFixed(2) + ' ' + e.textContent.slice(0, 30));
	}
	return [...new Set(out)];
})()`

// userViews are those of a user's daemon, with their titles.
var userViews = map[string]string{"status": "Status", "circuits": "Circuits", "streams": "Streams", "relay": "Relay", "settings": "Settings"}

// contrastIsEnough reads every text of every view, light and dark.
func contrastIsEnough(t *testing.T, b context.Context) {
	f := newFake()
	d := &f.status.Client.Directory
	d.Alarm = &control.Alarm{Kind: "split_view", Text: "Two lists of one epoch were seen.", Since: noon}
	p := open(t, b, f)
	for _, scheme := range []string{"light", "dark"} {
		p.run(likes(scheme))
		for view, title := range userViews {
			p.visit(view, title)
			p.run(chromedp.Evaluate[chromedp.Void]("document.querySelectorAll('details').forEach((d) => { d.open = true; })"))
			bad := value[[]string](p, lowContrast)
			if len(bad) > 0 {
				t.Errorf("%s, %s: contrast below 4.5: %v", scheme, view, bad)
			}
		}
		if p.is("document.getAnimations().length > 0") {
			t.Error("something moves though the user wants none")
		}
	}
}

// pictures are for people to look at.
func pictures(t *testing.T, b context.Context) {
	// Five minutes of traffic in some seconds.
	quick := asks(cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{
		Source: `const p = performance.now.bind(performance); performance.now = () => p() * 40; const s = setInterval; window.setInterval = (f, n) => s(f, n / 50);`,
	})
	for _, look := range []struct {
		name, scheme string
		wide, high   int64
	}{{"light", "light", 1180, 820}, {"dark", "dark", 1180, 820}, {"narrow", "light", 360, 740}, {"narrow-dark", "dark", 360, 740}} {
		media := likes(look.scheme)
		p := open(t, b, newFake(), chromedp.EmulateViewport(look.wide, look.high), media, quick)
		p.holds("document.querySelector('path.down')?.getAttribute('d').split('L').length > 60")
		p.shot(look.name + "-status")
		p.visit("circuits", "Circuits")
		p.run(chromedp.Evaluate[chromedp.Void]("document.querySelector('.circuit details').open = true"))
		p.shot(look.name + "-circuits")
		p.run(click(`[data-do="new identity"]`))
		p.shot(look.name + "-confirm")
		p.run(click(`[data-do="dismiss"]`))
		p.visit("streams", "Streams")
		p.run(chromedp.Evaluate[chromedp.Void]("document.querySelector('.stream').open = true"))
		p.shot(look.name + "-streams")
		p.visit("relay", "Relay")
		p.shot(look.name + "-relay")
		p.visit("settings", "Settings")
		p.shot(look.name + "-settings")
		p.run(click(`nav a[href="#/status"]`))
		p.fake.change("bootstrap", func(f *fake) {
			c := *f.status.Client
			c.State, c.Percent, c.Tag, c.Cause, c.Text, c.Circuits = "table", 45, "loading_directory", "seeds_dead", "None of 5 relays answered: a firewall may stop connections to port 9240.", nil
			c.Directory.Alarm = &control.Alarm{Kind: "split_view", Text: "Two lists of epoch 4711 were seen, each signed by enough members: somebody attacks. Compare your list with others."}
			f.status.Client = &c
		})
		p.sees("main", "None of 5 relays")
		p.shot(look.name + "-starting")
		n := open(t, b, newTestnet(), chromedp.EmulateViewport(look.wide, look.high), media)
		n.visit("network", "Network")
		n.shot(look.name + "-network")
		n.run(chromedp.Evaluate[chromedp.Void]("sessionStorage.clear()"), chromedp.Reload())
		n.sees("main h1", "Open this page")
		n.shot(look.name + "-locked")
		l := open(t, b, newFake(), chromedp.EmulateViewport(look.wide, look.high), media)
		l.stop()
		l.sees("[data-name=state]", "Not known")
		l.shot(look.name + "-lost")
		l.visit("circuits", "Circuits")
		l.shot(look.name + "-lost-circuits")
	}
	if _, err := os.Stat(filepath.Join(*shots, "dark-status.png")); errors.Is(err, os.ErrNotExist) {
		t.Error("there are no pictures")
	}
}
