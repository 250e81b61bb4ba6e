// SPDX-License-Identifier: BSD-3-Clause

package genesis

import "time"

// Params are the parameters of a network, fixed by its genesis document. Every
// member works with the same. A day is Day epochs; ages are in such days. Shares
// are in thousandths. "0: off" says that zero switches the rule off, which only a
// testnet can.
//
// Spec: directory §2 (table); protocol §1 and §5 (network parameters).
type Params struct {
	// The epoch and what happens when, from its start.
	EpochLen    time.Duration // whole seconds
	Day         int           // epochs
	Term        int           // epochs a committee list serves
	DrawLead    int           // epochs from the draw to the term
	CutOff      time.Duration // before the start: the view is frozen as of then
	Propose     time.Duration
	HoldOffStep time.Duration
	HoldOffMax  time.Duration
	Sign        time.Duration
	SignEnd     time.Duration

	// Gossip.
	InvMeanOut       time.Duration
	InvMeanIn        time.Duration
	InvUrgent        time.Duration
	GetTimeout       time.Duration
	GetTimeoutUrgent time.Duration
	RepairPeriod     time.Duration
	RepairJitter     int // thousandths of the period, each way

	// Descriptors and clocks.
	Republish       time.Duration
	RepublishJitter time.Duration // each way
	RepublishGap    time.Duration // shortest
	RepublishPerDay int           // 0: off
	DescriptorLife  time.Duration
	OnionLife       time.Duration
	OnionOverlap    time.Duration
	ClockAhead      time.Duration // a descriptor's published ahead of the clock
	ClockMember     time.Duration
	ClockClient     time.Duration

	// Committee and admission.
	CommitteeMax    int
	CommitteeAge    int // days
	CommitteeUptime int // thousandths
	SeatsPerGroup   int // 0: off
	SeatsPerFamily  int // 0: off
	SeatsPerNet     int // per IPv4 /20; 0: off
	AdmitRate       int // thousandths of the table a day; 0: off
	AdmitFloor      int // relays a day; 0: off
	AdmitHold       int // days
	VoucherShare    int // thousandths of the slots
	VoucherGap      int // days between two vouchers of one sponsor
	StampBits       int
	WorkBits        int
	AddrPerIPv4     int // relays; 0: off
	AddrPerIPv4Net  int // per /24; 0: off
	AddrPerIPv6Net  int // per /48; 0: off

	// Weights.
	NewcomerUntil int // days
	NewcomerShare int // thousandths of middle weight; 0: off
	EntryAge      int // days
	ExitAge       int // days
	HSDirAge      int // days
	GuardFrom     int // days
	GuardFull     int // days; a founder has this age at genesis
	CapRelay      int // thousandths of a position's weight; 0: off
	CapGroup      int // same; 0: off
	CapCohort     int // same, guards only; 0: off
	Cohort        int // days that make one cohort
	BWStart       int // kbit/s; 0: no limit
	BWCap         int // kbit/s; 0: no limit
	BWStep        int // buckets a day; 0: no limit
	StopEpoch     int // thousandths of guard weight; 0: off
	StopDay       int // same; 0: off

	// Paths, clients, guards.
	PathNetworkRule bool // /16, /32 and group
	PathFamilyRule  bool
	ClientFetch     time.Duration
	ClientJitter    time.Duration // each way
	UseLag          int           // epochs
	Fresh           int           // epochs
	Warn            int           // epochs
	Refuse          int           // epochs
	AnchorAge       time.Duration // 0: off
	GuardLifeMin    time.Duration
	GuardLifeMax    time.Duration
	GuardNew        int           // new guards in GuardNewPer; 0: off
	GuardNewPer     time.Duration //
	GuardAbsent     time.Duration // not running or not in the table: replaced
	GuardRetryMin   time.Duration // first back-off, then twice as long
	GuardRetryMax   time.Duration
	GuardDownAfter  time.Duration // no link worked for so long: the network is down
	GuardLast       time.Duration // a guard that breaks circuits is last for so long

	// Links and circuits.
	EWMAHalfLife time.Duration
	WindowInit   int // cells
	WindowMin    int // cells
	WindowMax    int // cells
	AckEvery     int // cells
	Alpha        int // cells
	Beta         int // cells
	Gamma        int // cells
	Delta        int // cells
	StreamCredit int // bytes

	// Heirs is how many relays of a predecessor may come back with their age. It follows
	// from the document's list of them and is no parameter on the wire.
	Heirs int
}

const day = 24 * time.Hour

// Public returns the parameters of a network that is no testnet.
func Public() Params {
	return Params{
		EpochLen: time.Hour, Day: 24, Term: 168, DrawLead: 24,
		CutOff: 600 * time.Second, Propose: 30 * time.Second,
		HoldOffStep: 5 * time.Second, HoldOffMax: 30 * time.Second,
		Sign: 90 * time.Second, SignEnd: 600 * time.Second,

		InvMeanOut: time.Second, InvMeanIn: 2 * time.Second, InvUrgent: 50 * time.Millisecond,
		GetTimeout: 2 * time.Second, GetTimeoutUrgent: time.Second,
		RepairPeriod: 10 * time.Minute, RepairJitter: 500,

		Republish: 72 * time.Hour, RepublishJitter: 12 * time.Hour, RepublishGap: 30 * time.Minute,
		RepublishPerDay: 8, DescriptorLife: 7 * day, OnionLife: 28 * day, OnionOverlap: 7 * day,
		ClockAhead: 10 * time.Minute, ClockMember: 15 * time.Second, ClockClient: time.Hour,

		CommitteeMax: 96, CommitteeAge: 60, CommitteeUptime: 950,
		SeatsPerGroup: 2, SeatsPerFamily: 1, SeatsPerNet: 1,
		AdmitRate: 10, AdmitFloor: 10, AdmitHold: 1, VoucherShare: 500, VoucherGap: 30,
		StampBits: 16, WorkBits: 12, AddrPerIPv4: 2, AddrPerIPv4Net: 4, AddrPerIPv6Net: 8,

		NewcomerUntil: 7, NewcomerShare: 50, EntryAge: 7, ExitAge: 14, HSDirAge: 4,
		GuardFrom: 30, GuardFull: 90, CapRelay: 10, CapGroup: 100, CapCohort: 100, Cohort: 30,
		BWStart: 512, BWCap: 19484, BWStep: 1, StopEpoch: 100, StopDay: 300,

		PathNetworkRule: true, PathFamilyRule: true,
		ClientFetch: 2 * time.Hour, ClientJitter: 30 * time.Minute, UseLag: 1,
		Fresh: 4, Warn: 24, Refuse: 72, AnchorAge: 90 * day,
		GuardLifeMin: 90 * day, GuardLifeMax: 150 * day, GuardNew: 6, GuardNewPer: 60 * day,
		GuardAbsent: 7 * day, GuardRetryMin: time.Minute, GuardRetryMax: time.Hour,
		GuardDownAfter: 5 * time.Minute, GuardLast: 30 * day,

		EWMAHalfLife: 30 * time.Second,
		WindowInit:   64, WindowMin: 64, WindowMax: 1024, AckEvery: 32,
		Alpha: 48, Beta: 64, Gamma: 64, Delta: 80, StreamCredit: 256 << 10,
	}
}

// Testnet returns the preset of a testnet: short times, and the caps that relays
// on one machine could not keep switched off.
func Testnet() Params {
	p := Public()
	p.EpochLen, p.Day, p.Term, p.DrawLead = 10*time.Second, 6, 60, 6
	p.CutOff, p.Propose = 2*time.Second, time.Second
	p.HoldOffStep, p.HoldOffMax = 200*time.Millisecond, time.Second
	p.Sign, p.SignEnd = 3*time.Second, 8*time.Second

	p.InvMeanOut, p.InvMeanIn, p.InvUrgent = 50*time.Millisecond, 100*time.Millisecond, 10*time.Millisecond
	p.GetTimeout, p.GetTimeoutUrgent = 500*time.Millisecond, 250*time.Millisecond
	p.RepairPeriod = 5 * time.Second

	p.Republish, p.RepublishJitter, p.RepublishGap = time.Minute, 10*time.Second, time.Second
	p.RepublishPerDay, p.DescriptorLife = 0, 10*time.Minute
	p.OnionLife, p.OnionOverlap = 30*time.Minute, 10*time.Minute
	p.ClockAhead, p.ClockMember, p.ClockClient = 5*time.Second, time.Second, 10*time.Second

	p.CommitteeAge, p.CommitteeUptime = 0, 0
	p.SeatsPerGroup, p.SeatsPerFamily, p.SeatsPerNet = 0, 0, 0
	p.AdmitRate, p.AdmitFloor, p.AdmitHold, p.VoucherShare, p.VoucherGap = 0, 0, 0, 0, 0
	p.StampBits, p.WorkBits = 0, 0
	p.AddrPerIPv4, p.AddrPerIPv4Net, p.AddrPerIPv6Net = 0, 0, 0

	p.NewcomerUntil, p.NewcomerShare, p.EntryAge, p.ExitAge, p.HSDirAge = 0, 0, 0, 0, 0
	p.GuardFrom, p.GuardFull, p.CapRelay, p.CapGroup, p.CapCohort = 0, 0, 0, 0, 0
	p.BWStart, p.BWCap, p.BWStep, p.StopEpoch, p.StopDay = 0, 0, 0, 0, 0

	p.PathNetworkRule = false
	p.ClientFetch, p.ClientJitter = 20*time.Second, 5*time.Second
	p.Fresh, p.Warn, p.Refuse, p.AnchorAge = 6, 60, 360, 0
	p.GuardLifeMin, p.GuardLifeMax, p.GuardNew = 45*time.Minute, 75*time.Minute, 0
	p.GuardNewPer, p.GuardAbsent = 30*time.Minute, 7*time.Minute
	p.GuardRetryMin, p.GuardRetryMax = time.Second, time.Minute
	p.GuardDownAfter, p.GuardLast = 10*time.Second, 15*time.Minute
	return p
}

// Preset returns Testnet or Public.
func Preset(testnet bool) Params {
	if testnet {
		return Testnet()
	}
	return Public()
}
