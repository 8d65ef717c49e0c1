package sealed

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gigagate.internal/purchase"
)

const (
	keySize = 32 // bytes: AES-256
	// maxKeyFile is the largest key file that is read, in bytes.
	maxKeyFile = 64 << 10
	// rereadEvery is how often a missing key makes a key file that looks unchanged be read again.
	rereadEvery = time.Second
)

// idPattern is what the id of a key looks like. It is short, because every sealed text holds it.
var idPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// key is one key of a key file.
type key struct {
	id     string
	cipher cipher.AEAD
}

// MissingKeyError means that a text is sealed with a key that the gateway does not have.
type MissingKeyError struct {
	ID   string // of the key
	File string // the key file, or "" if there is none
	err  error  // why the key file could not be read again, or nil
}

func (e *MissingKeyError) Error() string {
	switch {
	case e.File == "":
		return fmt.Sprintf("it is sealed with the key %q, and no key file is given", e.ID)
	case e.err != nil:
		return fmt.Sprintf("it is sealed with the key %q, and the key file cannot be read again: %v", e.ID, e.err)
	}
	return fmt.Sprintf("it is sealed with the key %q, which is not in %s", e.ID, e.File)
}

func (e *MissingKeyError) Unwrap() error { return e.err }

// Keyring holds the keys of a key file. The zero value has none: then texts are stored in plain.
type Keyring struct {
	path string
	keys atomic.Pointer[[]key]

	// The last reading of the file. After an error the keys are those of before.
	mu   sync.Mutex
	at   time.Time
	info fs.FileInfo // nil if the file could not be opened
	err  error
}

// ReadKeys reads a key file. Each line is ID: KEY, where KEY is 32 bytes in base64. The first key seals, and all of
// them open. Empty lines and lines that begin with # are left out. Errors contain no key.
func ReadKeys(path string) (*Keyring, error) {
	k := &Keyring{path: path}
	return k, k.Reread()
}

// Reread reads the file again. After an error the keys are those of before.
func (k *Keyring) Reread() error {
	if k.path == "" {
		return errors.New("no key file is given")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.reread()
}

// reread is Reread for a caller that holds mu.
func (k *Keyring) reread() error {
	var keys []key
	keys, k.info, k.err = readKeys(k.path)
	k.at = time.Now()
	if k.err == nil {
		k.keys.Store(&keys)
	}
	return k.err
}

// rereadIfChanged reads the file again if it looks different, and otherwise once a second.
func (k *Keyring) rereadIfChanged() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, err := os.Stat(k.path)
	same := err == nil && k.info != nil && os.SameFile(now, k.info) && now.ModTime().Equal(k.info.ModTime()) && now.Size() == k.info.Size()
	if same && time.Since(k.at) < rereadEvery {
		return k.err
	}
	return k.reread()
}

// Wide reports whether others than its owner may read or change the key file.
func (k *Keyring) Wide() bool {
	info, err := os.Stat(k.path)
	if err != nil {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return wide(info.Mode(), ok && owner.Uid == 0, os.Geteuid() == 0)
}

// wide reports whether the mode of a key file gives more rights than the gateway needs. If the file is root's and the
// gateway is not, the gateway reads it by its group. Kubernetes mounts secrets like that.
func wide(mode fs.FileMode, ofRoot, asRoot bool) bool {
	if ofRoot && !asRoot {
		return mode.Perm()&0o037 != 0
	}
	return mode.Perm()&0o077 != 0
}

func readKeys(path string) ([]key, fs.FileInfo, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat() // before it is read, so that a later change is noticed
	var text []byte
	if err == nil {
		text, err = io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, info, err
	}
	if len(text) > maxKeyFile {
		return nil, info, fmt.Errorf("%s is larger than %d bytes", path, maxKeyFile)
	}
	keys, err := parseKeys(text)
	if err != nil {
		return nil, info, fmt.Errorf("%s: %w", path, err)
	}
	return keys, info, nil
}

func parseKeys(text []byte) (keys []key, err error) {
	var ids, known []string
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line := strings.TrimSpace(string(line))
		if line == "" || line[0] == '#' {
			continue
		}
		id, encoded, _ := strings.Cut(line, ":")
		secret, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(encoded))
		switch {
		case !idPattern.MatchString(id):
			return nil, fmt.Errorf("line %d does not begin with the id of a key and a colon: an id has up to 32 of a-z, 0-9 and -", number)
		case err != nil || len(secret) != keySize:
			return nil, fmt.Errorf("line %d: the key %s has to be %d bytes in base64", number, id, keySize)
		case slices.Contains(ids, id):
			return nil, fmt.Errorf("line %d: there are two keys with the id %s", number, id)
		case slices.Contains(known, string(secret)):
			return nil, fmt.Errorf("line %d: the key %s is also there under another id", number, id)
		}
		aead, err := newCipher(secret)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		keys, ids, known = append(keys, key{id, aead}), append(ids, id), append(known, string(secret))
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no key in it: gigagate journal keys new prints one")
	}
	return keys, nil
}

// newCipher returns a cipher that puts a random nonce before each text that it seals.
func newCipher(secret []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// NewKey returns a line for a key file, with a new random key. Its id begins with the date.
func NewKey(now time.Time) string {
	var random [keySize + 3]byte
	_, _ = rand.Read(random[:]) // never fails, says its documentation
	secret, name := random[:keySize], random[keySize:]
	return fmt.Sprintf("%s-%s: %s", now.UTC().Format("20060102"), hex.EncodeToString(name), base64.StdEncoding.EncodeToString(secret))
}

// Open returns a stored row with its texts in plain.
func (k *Keyring) Open(row purchase.SecretsRow) (purchase.SecretsRow, error) {
	var err error
	if row.Personal, err = open(k.find, place{row.ID, columnPersonal}, row.Personal); err != nil {
		return row, err
	}
	if row.Sale != nil {
		row.Sale, err = open(k.find, place{row.ID, columnSale}, row.Sale)
	}
	return row, err
}

// newest returns the key that seals. ok is false if there is none.
func (k *Keyring) newest() (newest key, ok bool) {
	keys := k.keys.Load()
	if keys == nil {
		return key{}, false
	}
	return (*keys)[0], true
}

// find returns the key with an id. If it is missing, the file may have changed since it was read.
func (k *Keyring) find(id string) (key, error) {
	found, ok := k.lookup(id)
	if ok {
		return found, nil
	}
	var err error
	if k.path != "" {
		err = k.rereadIfChanged()
		if found, ok = k.lookup(id); ok {
			return found, nil
		}
	}
	return key{}, &MissingKeyError{ID: id, File: k.path, err: err}
}

func (k *Keyring) lookup(id string) (key, bool) {
	if keys := k.keys.Load(); keys != nil {
		for _, known := range *keys {
			if known.id == id {
				return known, true
			}
		}
	}
	return key{}, false
}
