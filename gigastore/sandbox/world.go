package sandbox

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"sync"
	"time"
)

// world is everything that a sandbox remembers. A reset replaces it as a whole.
// A call that began before the reset goes on in its old world.
type world struct {
	mu       sync.Mutex // guards all that follows; never held during a wait
	base     func() time.Time
	seed     uint64
	settings Settings

	offset time.Duration     // how far the clock was moved
	now    time.Time         // the clock at the last enter; it never goes back
	made   map[string]uint64 // how many ids of each kind exist

	inventory []*product
	credit    Amount
	customers []*customer // in order of registration
	byUID     map[string]*customer
	profiles  map[string]*profile // by ICCID
	items     []*item             // in order of sale
	itemByUID map[string]*item
	waiting   []*item // packages that were pending at their sale, in order of deadline

	tokenSerial uint64
	keys        map[string]*storedAnswer
	running     map[string]int // how many calls with the key have arrived and not ended
	faults      []*armedFault
	truth       truth
}

func newWorld(seed uint64, settings Settings, base func() time.Time) *world {
	return &world{
		base:      base,
		seed:      seed,
		settings:  settings,
		made:      map[string]uint64{},
		inventory: newCatalogue(),
		credit:    settings.InitialCredit,
		byUID:     map[string]*customer{},
		profiles:  map[string]*profile{},
		itemByUID: map[string]*item{},
		keys:      map[string]*storedAnswer{},
		running:   map[string]int{},
		truth:     newTruth(),
	}
}

// enter locks the world and brings it up to date. Everything that was due since
// the last enter happens, each at its own time. The caller unlocks.
func (w *world) enter() {
	w.mu.Lock()
	if now := w.base().Add(w.offset).UTC().Round(0); now.After(w.now) {
		w.now = now
	}
	w.startOverdue()
}

type customer struct {
	uid, email string
	countrySet string // the first package fixes it (docs customers)
	registered time.Time
	domains    []string // customer profile domains; the first one is the default
	profiles   []*profile
	items      []*item
}

// profile is an eSIM.
type profile struct {
	uid, iccid, imsi string
	code, token      string
	domain           string
	customer         *customer
	activatedAt      time.Time // of the profile, not of a package; zero until installed
	lastSeen         time.Time
	country          string // where it was last seen
}

func (p *profile) installed() bool { return !p.activatedAt.IsZero() }

func (p *profile) state() string {
	if p.installed() {
		return "INSTALLED"
	}
	return "RELEASED"
}

// digest is a pseudo-random function of the seed, the kind and the count. So
// the n-th customer is the same, whatever else happened.
func (w *world) digest(kind string) (sum [sha256.Size]byte, n uint64) {
	w.made[kind]++
	n = w.made[kind]
	return sha256.Sum256(fmt.Appendf(nil, "%d/%s/%d", w.seed, kind, n)), n
}

// newUID makes a UUID in the form of version 4.
func (w *world) newUID(kind string) string {
	sum, _ := w.digest(kind)
	sum[6] = sum[6]&0x0f | 0x40
	sum[8] = sum[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

func (w *world) newProfile(cu *customer, domain string) *profile {
	sum, n := w.digest("profile")
	number := binary.BigEndian.Uint64(sum[16:])%1_000_000*100_000_000 + n%100_000_000
	p := &profile{
		uid:      w.newUID("profile uid"),
		iccid:    withLuhnDigit(fmt.Sprintf("89972%014d", number)),
		imsi:     fmt.Sprintf("26006%010d", number%10_000_000_000),
		code:     base32.StdEncoding.EncodeToString(sum[:10]),
		token:    fmt.Sprintf("%x", sum[10:26]),
		domain:   domain,
		customer: cu,
	}
	cu.profiles = append(cu.profiles, p)
	w.profiles[p.iccid] = p
	return p
}

// withLuhnDigit appends the check digit of ITU-T E.118.
func withLuhnDigit(number string) string {
	sum := 0
	for i := range len(number) {
		d := int(number[len(number)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return fmt.Sprintf("%s%d", number, (10-sum%10)%10)
}

func (w *world) product(id string) *product {
	for _, p := range w.inventory {
		if p.id == id {
			return p
		}
	}
	return nil
}
