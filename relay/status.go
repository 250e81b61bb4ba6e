// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"fmt"
	"iter"
	"slices"
	"time"

	"chive/directory"
	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/gossip"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/sybil"
	"chive/directory/transition"
	"chive/directory/vote"
	"chive/internal/redact"
)

// Below these a network is young: its committee is whoever happens to be there.
// Spec: directory §6 (young).
const (
	youngRelays = 300
	youngGroups = 60
)

// farBehind is how many epochs a relay may be behind and still catch up by itself.
// Spec: directory §10.
const farBehind = 4

// DirectoryStatus is how a relay stands in the directory.
type DirectoryStatus struct {
	Head, Current    uint64   // epochs: of the newest final snapshot, and of the clock
	DirRoot          [32]byte // of the list at Head: what relays of one epoch have in common
	Listed, Running  bool     // in the newest table
	Age              int      // days of service
	Relays           int      // in the table
	Eligible, Groups int      // who may sit on a committee, and in how many groups
	Committee        CommitteeStatus
	Young            bool // few may sit on the committee: rely on it for nothing
	Unmeasured       bool // nobody measures what relays declare
	Stalled          bool // no final snapshot for some epochs
	Forked           bool // another history with certificates was seen
	Neighbours       int
	Introduced       int      // relays that introduce this one, of three
	Joining          string   // how far it is, or why it cannot follow, in words; empty: it is listed and does
	Clock            string   // what is wrong, in words; empty: nothing known
	Store            string   // same
	StoreFix         string   // what to do about that, in words
	Keys             string   // same
	NoRoomForExit    bool     // the list withholds the exit flag: it has no room for one more exit policy
	Reports          []Report // one of each kind at most, the latest last
	Gossip           GossipStatus
	Vouching         VouchingStatus
}

// VouchingStatus is whether a relay may vouch for newcomers.
type VouchingStatus struct {
	Day  int    // of the network, as the newest final list tells: the day of a voucher given now
	Gap  int    // days between two vouchers of one relay; 0: none are needed
	Why  string // it may not, in words; empty: it may
	From int    // the day from which it may again, where Why is that it has; else 0
	// Places of the vouched lane in a day; 0: no limit.
	Places int
}

// CommitteeStatus is the committee of the current epoch, as far as it is known.
type CommitteeStatus struct {
	Name    string // A, or B, which agrees on each fifth epoch
	K, M, Q int    // seats; votes that change something; signatures that make final
	Seat    bool   // this relay has one
	Reason  string // why it takes no part, in words; empty: it does
	// Other: another process has this relay's keys, or had a short while ago.
	Other bool
	// In names the committees in which this relay has a seat.
	In []string
	// Penalty is until when this relay is shut out for what it has signed; zero: it is not.
	Penalty time.Time
	// Members are the seats, in their order; nil: not known.
	Members []MemberStatus
	// Signed of Seats have signed the newest final list that this relay holds; 0 of 0:
	// nobody had to.
	Signed, Seats int
	SignedBy      string // its committee, A or B
	Needed        int    // so many of Seats make a list final
}

// Report is something that an operator should know.
type Report struct {
	What  string     // in words
	Relay record.RID // whom it was about at last; zero: nobody
	Last  time.Time
	Count int
}

// GossipStatus are totals since the start, frames' lengths included.
type GossipStatus struct {
	Streams                 int // now
	MessagesIn, MessagesOut uint64
	KindsIn, KindsOut       [gossip.KindCount]uint64 // of them
	BytesIn, BytesOut       uint64
	ClosedFull              uint64 // streams whose peer did not read
}

// Kinds goes through the kinds of messages by their names, each with how many came in and
// went out.
func (g *GossipStatus) Kinds() iter.Seq2[string, [2]uint64] {
	return func(yield func(string, [2]uint64) bool) {
		for k := range g.KindsIn {
			if !yield(gossip.Kind(k).String(), [2]uint64{g.KindsIn[k], g.KindsOut[k]}) {
				return
			}
		}
	}
}

// facts is what follows from a state.
type facts struct {
	eligible, groups int
	vouching         VouchingStatus
}

func factsOf(p genesis.Params, s *transition.State, self record.RID) facts {
	f := facts{vouching: vouchingOf(p, s, self)}
	groups := map[uint16]bool{}
	for i := range s.Snapshot().Table().Len() {
		if s.Eligible(p, i) {
			f.eligible++
			groups[s.Snapshot().Table().At(i).Leaf.Group] = true
		}
	}
	f.groups = len(groups)
	return f
}

// tell shows the state of things to Status, and to the joiner whether there is work.
func (d *replica) tell(now time.Time) {
	v := d.machine.Status()
	_, peers := d.machine.Gossip()
	newest := d.machine.Newest()
	s := &DirectoryStatus{
		Head: newest.Epoch(), DirRoot: newest.Header().DirRoot, Current: d.r.genesis.EpochAt(now), Relays: newest.Table().Len(),
		Eligible: d.facts.eligible, Groups: d.facts.groups,
		Young:      d.facts.eligible < youngRelays || d.facts.groups < youngGroups,
		Unmeasured: true, Forked: v.Forked, Neighbours: len(peers),
		Clock: d.clockWords(), Store: d.memory.words(), StoreFix: d.memory.fix(), Reports: d.reports,
		Vouching: d.facts.vouching, NoRoomForExit: noRoomForExit(d.machine.Own(), newest.Table(), d.r.rid),
	}
	// Who is on no list knows the newest as a client does, and has none of its own.
	s.Stalled = v.Stalled && s.Current > s.Head+farBehind
	s.Gossip.Streams = len(d.streams)
	if r, listed := newest.Table().Relay(d.r.rid); listed {
		s.Listed, s.Running = true, r.Flags&snapshot.FlagRunning != 0
		s.Age = max(0, newest.Day()-int(r.BirthDay))
	}
	voting := s.Current
	if v.Seats == 0 { // in the epoch of genesis nobody votes
		voting++
		v.Seats, v.Seat = d.nextSeats(voting)
	}
	if v.Seats > 0 {
		s.Committee = CommitteeStatus{Name: nameOf(voting), K: v.Seats, M: committee.Matching(v.Seats), Q: committee.Quorum(v.Seats), Seat: v.Seat}
		d.members(&s.Committee, peers, voting)
	}
	s.Committee.In, s.Committee.Penalty = d.seatsIn(), d.penalty(d.r.rid)
	if v.Reason == vote.NoSeat { // it may be that the list which says so is not known yet
		switch {
		case v.Old || s.Current < uint64(d.memory.loss):
			v.Reason = vote.MemoryLost
		case v.Seat && s.Current > 0:
			v.Reason = vote.Behind
		}
	}
	s.Committee.Reason = d.doubtWords(v.Reason)
	if s.Current == 0 && (v.Reason == vote.NoSeat || v.Reason == vote.Behind) {
		s.Committee.Reason = "the first list of relays is still to come"
	}
	if s.Clock != "" {
		switch v.Reason {
		case vote.Done, vote.NoNeighbour, vote.Behind: // others did it; or that follows from it
			s.Committee.Reason = reasonWords[vote.ClockOff]
		case vote.NoSeat: // by this clock the network has not begun
			if v.Seat && s.Current == 0 {
				s.Committee.Reason = reasonWords[vote.ClockOff]
			}
		}
	}
	if s.Committee.Other = v.Other; v.Other { // also of a relay that has no seat now
		s.Committee.Reason = d.doubtWords(vote.OtherSelf)
	}
	if end := s.Committee.Penalty; !end.IsZero() {
		s.Committee.Reason = "it is shut out of the committee until " + end.UTC().Format(dateWords) +
			", since there is proof that it has signed two things that exclude each other: two processes ran with its keys, or an old copy of its state folder. Traffic goes on"
	}
	if s.Store != "" {
		d.complain()
		if s.Committee.Reason == "" {
			s.Committee.Reason = d.memory.abstains()
		}
	}
	if d.keeper.failed.Load() {
		s.Keys = "a key cannot be read, written or erased; it is tried again"
	}
	if !s.Listed {
		j := d.machine.Joining()
		s.Introduced, s.Joining = j.Accepted, joiningWords(j, sybil.Slots(d.r.genesis.Params, s.Relays, s.Current)[sybil.LaneVouched])
		if j.Accepted > 0 && s.Current > s.Head+farBehind {
			s.Joining += fmt.Sprintf(". No new list was agreed for %d epochs, as far as it has heard: the network stands still, and nobody is let in until its committee agrees again", s.Current-s.Head)
		}
		if d.r.withheld() {
			s.Joining = "relays that were asked do not reach this relay at the addresses it declares, so it does not publish them; it asks others every 5 minutes"
		}
	}
	away := !s.Listed || s.Current > v.Epoch+farBehind
	if t := d.joiner.trouble.Load(); t != nil && away {
		s.Joining = *t
		if s.Clock != "" && (t == &troubleSilent || t == &troubleAhead || t == &troubleOld) {
			s.Joining = troubleClock
		}
	}
	d.timekeeper.alone.Store(len(peers) == 0 && newest.Table().Len() > 1)
	d.r.directory.Store(s)
	d.gather(now)
	d.stand(now, s)
	d.away.set(away)
}

// nicknamesEvery is how often what relays call themselves is gathered.
const nicknamesEvery = 30 * time.Second

// gather shows what relays call themselves, now and then.
func (d *replica) gather(now time.Time) {
	if since := now.Sub(d.gathered); !d.gathered.IsZero() && since >= 0 && since < nicknamesEvery {
		return
	}
	d.gathered = now
	names := d.machine.Nicknames()
	d.r.nicknames.Store(&names)
}

// Nickname is what a relay calls itself in the descriptor that this relay holds, of half a
// minute ago at most; empty: nothing, or none is held. It is theirs to choose: several may
// say the same, and its bytes are a stranger's.
func (r *Relay) Nickname(rid record.RID) string {
	if names := r.nicknames.Load(); names != nil {
		return (*names)[rid]
	}
	return ""
}

// nextSeats returns how many seats a later epoch's committee has, and whether one of
// them is ours, as far as the newest state tells.
func (d *replica) nextSeats(epoch uint64) (seats int, ours bool) {
	l := d.machine.Head().State.Owner(d.r.genesis.Params, epoch)
	if l == nil {
		return 0, false
	}
	return len(l.Seats), slices.ContainsFunc(l.Seats, func(s committee.Seat) bool { return s.RID == d.r.rid })
}

// reasonWords say why a member takes no part.
var reasonWords = map[vote.Reason]string{
	vote.NoSeat:      "it has no seat in this epoch's committee",
	vote.MemoryLost:  "what it promised is lost, or is an old copy: it waits until the committee's term is over",
	vote.OtherSelf:   "another process runs with this relay's keys: stop one of the two. It waits until nothing was seen of the other for a term",
	vote.ClockOff:    "its clock is off",
	vote.NoNeighbour: "it has no neighbours",
	vote.Behind:      "its list is behind the network's",
	vote.Done:        "", // it did
}

func joiningWords(j directory.Joining, places int) string {
	return joiningStep(j, places) + voucherWords[j.Voucher]
}

func joiningStep(j directory.Joining, places int) string {
	switch {
	case j.Unreached > 0:
		return fmt.Sprintf("%d of %d relays could not reach this relay at the addresses it declares: check that the port is open and forwarded from outside, and that the addresses are right",
			j.Unreached, j.Unreached+j.Accepted)
	case j.Accepted > 0 && j.Vouched:
		return fmt.Sprintf("vouched, waiting: %d of 3 relays introduce it; %s", j.Accepted, placeWords(places))
	case j.Accepted > 0:
		return fmt.Sprintf("%d of 3 relays introduce it; it waits for a place on the list", j.Accepted)
	case j.Asked > 0:
		return "it has asked relays to introduce it; they dial its addresses now"
	case j.Solving:
		return "it does the work that newcomers have to do: minutes of a processor"
	case !j.Offered:
		return "its descriptor is being made"
	}
	return "it looks for relays that may introduce it"
}

// placeWords say what a vouched newcomer waits for. Who else waits, members know and tell
// nobody, and the order of a day is drawn when the day before ends.
func placeWords(places int) string {
	switch {
	case places == sybil.Unlimited:
		return "the next list takes it"
	case places == 1:
		return "1 place a day is for vouched relays, drawn by lot among those that waited when the day began"
	}
	return fmt.Sprintf("%d places a day are for vouched relays, drawn by lot among those that waited when the day began", places)
}

// voucherWords say why a voucher was left out.
var voucherWords = map[gossip.JoinCode]string{
	gossip.JoinVoucherOld: ". Its voucher is refused: it has expired, or is not its sponsor's; it goes on without, and asks with it again after a day unless it has expired. Ask the sponsor for a new one",
	gossip.JoinSponsor:    ". Its voucher is refused: the sponsor may not vouch now (it is not on the list, not running, too young or penalised); it goes on without, and asks with it again after a day. Ask an operator whose relay may",
	gossip.JoinSpent:      ". Its voucher is refused: the sponsor has vouched for another relay, and may do so once in a while only; it goes on without, and asks with it again after a day. Ask another operator",
}

// vouchingOf says whether a relay may vouch in what follows a state.
func vouchingOf(p genesis.Params, s *transition.State, self record.RID) VouchingStatus {
	out := VouchingStatus{Day: s.Snapshot().Day(), Gap: p.VoucherGap}
	if n := sybil.Slots(p, s.Snapshot().Table().Len(), s.Epoch()+1)[sybil.LaneVouched]; n != sybil.Unlimited {
		out.Places = n
	}
	why, day := s.Vouching(p, s.Epoch()+1, self)
	switch why {
	case transition.UnfitUnlisted:
		out.Why = "it is not on the list"
	case transition.UnfitStopped:
		out.Why = "it is on the list but not running: others do not reach it"
	case transition.UnfitAccused:
		out.Why = "there is proof that it has signed two things that exclude each other, and its penalty is not over"
	case transition.UnfitYoung:
		age := 0
		if r, listed := s.Snapshot().Table().Relay(self); listed {
			age = max(0, s.Snapshot().Day()-int(r.BirthDay))
		}
		out.Why = fmt.Sprintf("it has served for %d days, and must have for %d", age, day)
	case transition.UnfitUptime:
		out.Why = "it was away too often in the last weeks"
	case transition.UnfitSpent:
		out.From = day
		out.Why = fmt.Sprintf("a newcomer is on the list by its voucher already; it may vouch again in %d days", max(1, day-out.Day))
	}
	return out
}

// goneWords say that the store's file is not there any more. A start makes another, and
// then the relay knows that it has lost what it promised (EPOCH-11).
const goneWords = "the file of the directory's memory was removed, or another was put in its place, while the relay runs. It takes no part in the committee, since nothing it signs would be remembered; " +
	"traffic goes on. If the file was moved, move that very file back; else start the relay again: it begins a fresh one, and takes no seat until the terms that run are over"

// spoiledWords say that the store's file was changed under the relay.
const spoiledWords = "the file of the directory's memory was written over or cut while the relay runs. It takes no part in the committee, since nothing it signs would be remembered; " +
	"traffic goes on. Start the relay again: it reads what is there, and takes no seat until the terms that run are over. Nothing but the relay may write that file; a backup is put back while the relay is stopped"

// abstains says why a member whose store fails takes no part.
func (m *memory) abstains() string {
	if m.gone {
		return "the file of its memory was removed, so that nothing it signs would be remembered: it signs nothing"
	}
	if m.spoiled {
		return "the file of its memory was written over, so that nothing it signs would be remembered: it signs nothing"
	}
	return "it cannot keep what it promises, so it promises nothing"
}

// complain logs now and then that the store fails.
func (d *replica) complain() {
	why := d.memory.failed
	if d.memory.gone {
		why = redact.FileNotFound
	}
	d.r.storeLine.Do(func() {
		d.r.cfg.Log.Error().EmbedObject(redact.RoleRelay).EmbedObject(redact.Event("store")).EmbedObject(why).
			Msg("the directory's memory cannot be kept; the relay takes no part in the committee until it can. Its status says what to do")
	})
}

// fix says what to do about a store that fails; empty: it does not.
func (m *memory) fix() string {
	const again = "It is tried again by itself, without a restart."
	switch {
	case m.gone, m.spoiled:
		return "Start the relay again, unless the very file can be put back."
	case m.retry.IsZero():
		return ""
	}
	switch m.failed {
	case redact.DiskFull:
		return "Make room on the disk of the state folder. " + again
	case redact.ReadOnly:
		return "Mount the disk of the state folder so that it can be written. " + again
	case redact.DiskFault:
		return "Have the disk of the state folder checked, and replaced if it fails: copy the keys first, with chive keys backup."
	case redact.NotPermitted:
		return "Give the state folder and its files to the user whom the relay runs as. " + again
	}
	return "Check the disk of the state folder, and who may write there. " + again
}

// words says why the store fails.
func (m *memory) words() string {
	switch {
	case m.gone:
		return goneWords
	case m.spoiled:
		return spoiledWords
	case m.retry.IsZero():
		return ""
	}
	why := "it cannot be written (" + m.failed.String() + ")"
	switch m.failed {
	case redact.DiskFull:
		why = "the disk is full"
	case redact.ReadOnly:
		why = "the disk is read-only"
	case redact.DiskFault:
		why = "the disk is faulty"
	case redact.NotPermitted:
		why = "the file may not be written"
	}
	return "the directory's memory is not kept: " + why + ". The relay takes no part in the committee until it is; traffic goes on"
}

// reportWords say what a report is about.
var reportWords = map[directory.Matter]string{
	directory.ReportForked:        "there is another history of the relay list with certificates; this relay keeps its own",
	directory.ReportIllegal:       "a committee has signed a relay list that breaks the rules; it is refused",
	directory.ReportEvidence:      "there is proof that a relay has signed two things that exclude each other",
	directory.ReportClosed:        "a relay has broken the protocol and is shut out for %s",
	directory.ReportLeft:          "a relay kept this one waiting, or sent more than was asked for, too often; it is left alone for %s",
	directory.ReportBadState:      "a relay has sent a state that does not hold",
	directory.ReportOtherSelf:     "another process publishes or signs with this relay's keys, or did a short while ago: stop one of the two; neither takes part in the committee",
	directory.ReportBadDescriptor: "this relay's own descriptor is refused",
	directory.ReportRefused:       "a relay refuses to introduce this one: its request does not hold",
	directory.ReportOldMemory:     "this relay has published or signed what its memory does not know: directory.db is lost or an old copy; it waits until the committee's term is over",
}

// epochWords says how long an epoch is: the time for which a relay is shut out.
// Spec: protocol §7 (GOS-11).
func epochWords(d time.Duration) string {
	if d == time.Hour {
		return "an hour"
	}
	return "an epoch (" + d.String() + ")"
}

// report keeps what an operator should know, one line of each kind: however much is
// reported, nothing else is forgotten. A relay that is shut out counts if it is listed:
// identities cost nothing. Only what no single peer can cause is logged.
func (d *replica) report(e directory.Report) {
	what := reportWords[e.What]
	if e.What == directory.ReportClosed || e.What == directory.ReportLeft {
		if _, listed := d.machine.Newest().Table().Index(e.RID); !listed {
			return
		}
		what = fmt.Sprintf(what, epochWords(d.r.genesis.Params.EpochLen))
	}
	now, _ := d.clock.now()
	all := slices.Clone(d.reports) // Status shows the old one
	one := Report{What: what}
	if i := slices.IndexFunc(all, func(r Report) bool { return r.What == what }); i >= 0 {
		one = all[i]
		all = slices.Delete(all, i, i+1)
	}
	one.Relay, one.Last, one.Count = e.RID, now, one.Count+1
	d.reports = append(all, one)
	log := d.r.cfg.Log.Error().EmbedObject(redact.RoleRelay)
	switch e.What {
	case directory.ReportForked:
		log.EmbedObject(redact.Event("forked")).Msg("two histories of the relay list have certificates; see the relay's status")
	case directory.ReportIllegal:
		log.EmbedObject(redact.Event("illegal")).Msg("a committee has signed a relay list that breaks the rules; see the relay's status")
	case directory.ReportOtherSelf:
		d.memory.otherSeen(now, d.machine.Doubts().OtherTill)
		d.r.selfLine.Do(func() {
			log.EmbedObject(redact.Event("other_self")).
				Msg("another process runs with this relay's keys; stop one of the two. The relay takes no part in the committee until it was quiet for a term")
		})
	case directory.ReportOldMemory:
		if uint64(d.memory.loss) <= d.r.genesis.EpochAt(now) { // none, or one that is over
			d.memory.remember(now, lostNow)
		}
		log.EmbedObject(redact.Event("old_memory")).
			Msg("the directory's memory is lost or an old copy; the relay takes no part in the committee until the term is over. Never put a copy of directory.db back")
	case directory.ReportBadDescriptor:
		log.EmbedObject(redact.Event("bad_descriptor")).Msg("the relay's own descriptor is refused; check its configuration")
	}
}
