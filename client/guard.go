// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"chive/directory/path"
	"chive/directory/record"
	"chive/directory/snapshot"
	dirsync "chive/directory/sync"
	"chive/internal/redact"
	"chive/link"
)

var (
	// ErrState says that the saved guards cannot be read. They are not thrown
	// away in silence: fresh guards would be exposed to more relays.
	ErrState = errors.New("client: the saved guards cannot be read")
	// ErrStore stands beside ErrState when the Store failed: what is saved may be whole.
	ErrStore = errors.New("client: the store of the guards failed")

	errOtherRelay = errors.New("client: another relay answered")
	errNoGuard    = errors.New("client: no guard is in the table of relays")
)

// storeError says that the Store gave no answer. Its text names nothing; what the Store
// said is behind it for who knows the Store.
type storeError struct{ cause error }

func (e *storeError) Error() string   { return errors.Join(ErrState, redact.Classify(e.cause)).Error() }
func (e *storeError) Unwrap() []error { return []error{ErrState, ErrStore, e.cause} }

// loadGuards reads the saved guards. None is drawn yet: that takes a list of relays
// that is not too old.
func (c *Client) loadGuards() error {
	now := time.Now()
	g := path.NewGuards(c.doc.Params, now)
	if c.cfg.Store != nil {
		state, err := c.cfg.Store.Load()
		if err != nil {
			return &storeError{err}
		}
		if state != nil {
			if g, err = path.LoadGuards(state, c.doc.Params, now); err != nil {
				return errors.Join(ErrState, err)
			}
		}
	}
	if c.cfg.Store != nil {
		g.KeepFirst()
	}
	c.mu.Lock()
	c.guards = g
	c.mu.Unlock()
	return nil
}

// updateGuards replaces guards that are due and fills up, unless the list of relays is
// too old to judge by. New ones are saved before they are used: it waits for the Store.
func (c *Client) updateGuards() error {
	if c.refusesAt(time.Now()) {
		return nil
	}
	entrances := c.entrances(c.current().selector)
	c.mu.Lock()
	report, err := c.guards.Update(time.Now(), c.cfg.Rand, entrances)
	c.mu.Unlock()
	if report&path.ReportRemoved != 0 {
		c.cfg.Log.Info().EmbedObject(redact.RoleClient).EmbedObject(redact.Event("guards")).
			Msg("a guard was replaced: its time was over, or it had left the list of relays")
	}
	if report&path.ReportAdded != 0 && c.cfg.Store != nil {
		c.writeGuards()
	} else {
		c.askSave()
	}
	return err
}

func (c *Client) askSave() {
	select {
	case c.save <- struct{}{}:
	default:
	}
}

// guardSaveDelay gathers changes, so that a busy client does not write all the time.
const guardSaveDelay = 5 * time.Second

// saveGuards writes the guards when they have changed, until ctx ends, and once
// more then.
func (c *Client) saveGuards(ctx context.Context) {
	if c.cfg.Store == nil {
		return
	}
	for {
		select {
		case <-ctx.Done():
			c.writeGuards()
			return
		case <-c.save:
		}
		c.writeGuards()
		select {
		case <-ctx.Done():
		case <-time.After(guardSaveDelay):
		}
	}
}

// writeGuards saves the guards, one writer at a time so that the newest state comes last.
// Those that cannot be saved are used all the same: a client whose disk is full or
// read-only would otherwise have no way into the network, and drawing others later is the
// lesser harm (decision 0014).
func (c *Client) writeGuards() {
	c.writing <- struct{}{}
	defer func() { <-c.writing }()
	c.mu.Lock()
	state, fresh := c.guards.Encode(), c.guards.Unkept()
	c.mu.Unlock()
	c.saved(savesGuards, c.cfg.Store.Save(state), "the guards could not be saved; after a restart others may be drawn")
	c.mu.Lock()
	c.guards.Kept(fresh)
	c.mu.Unlock()
}

// usableGuards returns the guards to try, the first one first.
func (c *Client) usableGuards() []*snapshot.Relay {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*snapshot.Relay
	if c.guards == nil {
		return nil
	}
	for _, rid := range c.guardsAt(time.Now()) {
		if r, ok := c.dir.table.view.Table().Relay(rid); ok {
			out = append(out, r)
		}
	}
	return out
}

// linkTo returns the link to guard r, an existing one if there is one, and tells
// the guards how it went.
func (c *Client) linkTo(ctx context.Context, r *snapshot.Relay) (*link.Link, error) {
	return c.links.Get(ctx, r.RID, r.Addresses)
}

// linkConfig is for links to one relay.
func (c *Client) linkConfig(rid record.RID) link.Config {
	return link.Config{
		NetworkID: c.nid, Rand: c.cfg.Rand, HalfLife: c.doc.Params.EWMAHalfLife,
		Verify: func(id ed25519.PublicKey) error {
			if record.NewRID(c.nid, id) != rid {
				return errOtherRelay
			}
			return nil
		},
	}
}

// dialLink opens a link to the guard rid. It runs once however many circuits wait
// for that link.
func (c *Client) dialLink(ctx context.Context, rid [16]byte, addrs []netip.AddrPort) (*link.Link, error) {
	cfg := c.linkConfig(rid)
	cfg.Certified = c.certified(rid, c.placeOf(rid, addrs))
	worst := errPorts
	for _, a := range c.passing(addrs) {
		l, err := link.Dial(ctx, c.cfg.Transport, a, cfg)
		if err == nil {
			c.linkUp(rid, l)
			c.notePeer(rid, nil)
			return l, nil
		}
		if worst == errPorts {
			worst = err
		}
		worst = moreTelling(worst, err)
		if ctx.Err() != nil {
			break
		}
	}
	if ctx.Err() == nil {
		c.notePeer(rid, worst)
	}
	if !proxyFailed(worst) && !errors.Is(worst, link.ErrDescriptors) && (ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded)) {
		c.mu.Lock()
		c.guards.LinkFailed(time.Now(), rid)
		c.mu.Unlock()
		c.askSave()
	}
	return nil, worst
}

// moreTelling returns that one of two errors, of two addresses of a relay, which says more
// about why there is no link, the earlier one of equals. Who spoke with the relay knows
// more than who was turned away, and that more than who found no way: a relay may have
// addresses of a kind that this machine has no way to at all. Of a proxy that all links
// pass, and of this process, nothing below it can be told.
func moreTelling(a, b error) error {
	telling := [...]error{
		link.ErrCertificateTime, link.ErrHandshake, errOtherRelay, link.ErrSelf, link.ErrProxyAuth, link.ErrProxy, link.ErrDescriptors,
		link.ErrRefused, link.ErrTimeout, link.ErrProxyDenied, link.ErrConnection, link.ErrUnreachable, link.ErrNetworkDown,
	}
	rank := func(err error) int {
		if at := slices.IndexFunc(telling[:], func(kind error) bool { return errors.Is(err, kind) }); at >= 0 {
			return at
		}
		return len(telling)
	}
	if rank(b) < rank(a) {
		return b
	}
	return a
}

// ofThisSide reports whether there is no link for a reason that says nothing of the relay.
func ofThisSide(err error) bool {
	return proxyFailed(err) || errors.Is(err, context.Canceled) || errors.Is(err, link.ErrBusy) || errors.Is(err, link.ErrClosed) || errors.Is(err, link.ErrDescriptors)
}

// proxyFailed reports whether a link failed because of the proxy on the way to all
// relays: that says nothing about the guard, and no other one can be reached either.
// Spec: directory, invariant I11.
func proxyFailed(err error) bool {
	return errors.Is(err, link.ErrProxy) || errors.Is(err, link.ErrProxyAuth)
}

// linkUp records that a link works, and later that it has ended.
func (c *Client) linkUp(rid record.RID, l *link.Link) {
	c.mu.Lock()
	c.guards.LinkUp(time.Now(), rid)
	c.mu.Unlock()
	c.askSave()
	c.tasks.Add(1)
	go func() {
		defer c.tasks.Done()
		<-l.Done()
		c.mu.Lock()
		c.guards.LinkLost(time.Now())
		c.mu.Unlock()
	}()
}

// guardCircuit tells the guards how a circuit through one of them went.
func (c *Client) guardCircuit(rid record.RID, ok bool) {
	c.mu.Lock()
	report := c.guards.Circuit(time.Now(), rid, ok)
	c.mu.Unlock()
	c.askSave()
	if report&path.ReportMoved != 0 {
		c.tell(Event{Kind: EventWarning, State: WarningGuardMoved})
		c.cfg.Log.Warn().EmbedObject(redact.RoleClient).EmbedObject(redact.Event("guard_moved")).
			Msg("a guard let half of 100 circuits fail while circuits through another one worked: it comes last from now on; see the client's status")
	}
}

// choose returns a path for n that avoids, as last hop, the relays in avoid, and
// anywhere, relays that failed a moment ago or hang; the latter only while others do. The path
// comes from the table that is returned with it. Where that is too old a newer one is
// asked for.
func (c *Client) choose(n need, avoid []record.RID) ([]*snapshot.Relay, *table, error) {
	now := time.Now()
	c.mu.Lock()
	exclude := make(map[record.RID]bool, len(c.failed)+len(avoid))
	for _, r := range avoid {
		exclude[r] = true
	}
	known := len(exclude)
	for r, t := range c.failed {
		if now.Sub(t) <= failedLife {
			exclude[r] = true
		}
	}
	guards := c.guardsAt(now)
	for r := range c.hung(now) { // it would be silent further on, too
		exclude[r] = true
	}
	t := c.dir.table
	c.mu.Unlock()
	if c.isBehind(now) {
		c.wantFetch()
		return nil, nil, errClock(c.clockWrong(now))
	}
	if c.freshnessAt(t, now) == dirsync.Refused {
		c.wantFetch()
		return nil, nil, errOldList(c.freshnessWords(t, now, false))
	}

	req := path.Request{Hops: c.cfg.Hops, Target: n.target(), Guards: guards, Exclude: exclude}
	p, err := t.selector.Choose(c.cfg.Rand, req)
	if isPathError(err) && len(exclude) > known {
		// Everybody failed a moment ago: then it was not their fault.
		req.Exclude = nil
		if len(avoid) > 0 {
			req.Exclude = make(map[record.RID]bool, len(avoid))
			for _, r := range avoid {
				req.Exclude[r] = true
			}
		}
		p, err = t.selector.Choose(c.cfg.Rand, req)
	}
	var rule *path.RuleError
	if errors.As(err, &rule) && rule.Position == path.Last && rule.Rule == path.RuleWeight && n != needDir {
		return nil, nil, errors.Join(noExitIn(t), err)
	}
	if rule != nil && rule.Position == path.Last && n != needDir {
		return nil, nil, errors.Join(errPolicy, err)
	}
	if rule != nil && rule.Rule == path.RuleGuards {
		return nil, nil, errors.Join(c.errNoGuards(), err)
	}
	if rule != nil {
		return nil, nil, errors.Join(errCircuit(pathWords(rule)), err)
	}
	return p, t, err
}

// target is what a need asks of the last hop.
func (n need) target() path.Target {
	if n == needDir {
		return path.Any()
	}
	return path.Exit(n.protocol, n.port)
}

// serves reports whether a circuit that ends at r can meet n.
func serves(r *snapshot.Relay, n need) bool {
	return n == needDir || r.Flags&snapshot.FlagExit != 0 && record.Permits(r.Policy, n.protocol, n.port)
}

// pathWords says which rule kept a path from being, without the name of the package.
func pathWords(rule *path.RuleError) string { return strings.TrimPrefix(rule.Error(), "path: ") }

func isPathError(err error) bool {
	var rule *path.RuleError
	return errors.As(err, &rule)
}
