package keep

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"github.com/klauspost/compress/zstd"
)

// The endings of what is stored, inside out.
const (
	Database = ".db"
	zstdEnd  = ".zst"
	ageEnd   = ".age"
)

// Codec says how a snapshot is changed on its way to the destination.
type Codec struct {
	Compress bool
	// Recipients may decrypt it; none leaves it as it is.
	Recipients []age.Recipient
}

// Ending is what the codec adds to a name.
func (c Codec) Ending() string {
	ending := ""
	if c.Compress {
		ending += zstdEnd
	}
	if len(c.Recipients) > 0 {
		ending += ageEnd
	}
	return ending
}

// Encode copies from source to w as the codec says, in constant memory.
func (c Codec) Encode(w io.Writer, source io.Reader) error {
	var closers []io.Closer
	if len(c.Recipients) > 0 {
		encrypted, err := age.Encrypt(w, c.Recipients...)
		if err != nil {
			return fmt.Errorf("encrypting: %w", err)
		}
		w, closers = encrypted, append(closers, encrypted)
	}
	if c.Compress {
		compressed, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(2), zstd.WithWindowSize(4<<20))
		if err != nil {
			return fmt.Errorf("compressing: %w", err)
		}
		w, closers = compressed, append(closers, compressed)
	}
	_, err := io.Copy(w, source)
	for i := range closers { // inside out; each writes its end
		err = errors.Join(err, closers[len(closers)-1-i].Close())
	}
	return err
}

// ErrLocked is for an encrypted backup without a key that opens it.
var ErrLocked = errors.New("it is encrypted: --identity or --passphrase-file opens it")

// Decode copies from source to w what Encode was given, by the name's endings. A
// truncated or changed source is an error: zstd and age both know their end.
func Decode(w io.Writer, source io.Reader, name string, identities []age.Identity) error {
	name = strings.TrimSuffix(name, Unproven)
	if inner, encrypted := strings.CutSuffix(name, ageEnd); encrypted {
		if len(identities) == 0 {
			return ErrLocked
		}
		plain, err := age.Decrypt(source, identities...)
		if err != nil {
			return fmt.Errorf("decrypting: %w", err)
		}
		source, name = plain, inner
	}
	if strings.HasSuffix(name, zstdEnd) {
		plain, err := zstd.NewReader(source, zstd.WithDecoderMaxMemory(64<<20), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return fmt.Errorf("decompressing: %w", err)
		}
		defer plain.Close()
		if _, err := io.Copy(w, plain); err != nil {
			return fmt.Errorf("decompressing: %w", err)
		}
		// What follows the last frame is part of what age authenticates.
		_, err = io.Copy(io.Discard, source)
		return err
	}
	_, err := io.Copy(w, source)
	return err
}

// Encoded tells whether a name says that its content is not a plain snapshot.
func Encoded(name string) bool {
	name = strings.TrimSuffix(name, Unproven)
	return strings.HasSuffix(name, ageEnd) || strings.HasSuffix(name, zstdEnd)
}

// ParseRecipients reads age and SSH public keys.
func ParseRecipients(keys []string) ([]age.Recipient, error) {
	var all []age.Recipient
	for _, key := range keys {
		if strings.HasPrefix(key, "ssh-") {
			recipient, err := agessh.ParseRecipient(key)
			if err != nil {
				return nil, fmt.Errorf("%q is no SSH key that age takes: %w", key, err)
			}
			all = append(all, recipient)
			continue
		}
		parsed, err := age.ParseRecipients(strings.NewReader(key))
		if err != nil {
			return nil, fmt.Errorf("%q is no age recipient (age-keygen -y prints one): %w", key, err)
		}
		all = append(all, parsed...)
	}
	return all, nil
}

// ReadIdentities reads files of age identities, or unencrypted SSH keys. No
// error of it shows what was in a file.
func ReadIdentities(files []string) ([]age.Identity, error) {
	var all []age.Identity
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--identity: %w", err)
		}
		if bytes.HasPrefix(content, []byte("-----BEGIN")) {
			identity, err := agessh.ParseIdentity(content)
			if err != nil {
				return nil, fmt.Errorf("--identity %s is no SSH key that age takes", file)
			}
			all = append(all, identity)
			continue
		}
		parsed, err := age.ParseIdentities(bytes.NewReader(content))
		if err != nil {
			return nil, fmt.Errorf("--identity %s holds no age identity", file)
		}
		all = append(all, parsed...)
	}
	return all, nil
}

// Passphrase makes a recipient and an identity of a passphrase.
func Passphrase(secret string) (age.Recipient, age.Identity, error) {
	recipient, err := age.NewScryptRecipient(secret)
	if err != nil {
		return nil, nil, err
	}
	identity, err := age.NewScryptIdentity(secret)
	if err != nil {
		return nil, nil, err
	}
	return recipient, identity, nil
}
