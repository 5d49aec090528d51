//go:build unix

package devstack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the user the server runs as. PostgreSQL refuses to run as root, so
// root starts it as another user; any other user starts it as itself.
type account struct {
	name     string
	uid, gid int
	switched bool // not the user we run as
}

func (a account) credential() *syscall.Credential {
	if !a.switched {
		return nil
	}
	return &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
}

// accountFor picks the account for the cluster in dataDir, which need not
// exist: its owner if it does; else ourselves, or, for root, the postgres user
// of the system's packages, or the user nobody.
func accountFor(dataDir string) (account, error) {
	owner, exists, err := ownerOf(dataDir)
	if err != nil {
		return account{}, err
	}
	self := os.Geteuid()
	switch {
	case exists && owner.uid == 0:
		return account{}, fmt.Errorf("%s belongs to root, and PostgreSQL can't run as root: change its owner, or move it away", dataDir)
	case exists && self == 0:
		owner.switched = true
		return owner, nil
	case exists && owner.uid != self:
		return account{}, fmt.Errorf("%s belongs to another user (%s): run as that user, or set ROLLCALL_DATA_DIR to your own directory", dataDir, owner.name)
	case self != 0:
		return account{name: strconv.Itoa(self), uid: self, gid: os.Getegid()}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.Atoi(u.Uid)
		gid, errGID := strconv.Atoi(u.Gid)
		// Some systems print a negative id for nobody.
		if errors.Join(errUID, errGID) == nil && uid > 0 && gid > 0 {
			return account{name: name, uid: uid, gid: gid, switched: true}, nil
		}
	}
	return account{}, errors.New("PostgreSQL can't run as root, and this machine has neither a postgres nor a nobody user: run as a regular user, or set DATABASE_URL")
}

// ownerOf returns the owner of path; exists is false if there is nothing.
func ownerOf(path string) (owner account, exists bool, err error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return account{}, false, nil
	}
	if err != nil {
		return account{}, false, fmt.Errorf("check owner of %s: %w", path, err)
	}
	stat := info.Sys().(*syscall.Stat_t) // always, on Unix
	owner = account{name: strconv.Itoa(int(stat.Uid)), uid: int(stat.Uid), gid: int(stat.Gid)}
	if u, err := user.LookupId(owner.name); err == nil {
		owner.name = u.Username
	}
	return owner, true, nil
}

// canEnter reports an error that names the first directory on the way to dir
// which the account may not enter: a home of mode 0700, most often root's.
func (a account) canEnter(dir string, bin Binaries) error {
	if !a.switched || a.try(dir, bin) == nil {
		return nil
	}
	if err := a.try("/", bin); err != nil {
		return fmt.Errorf("run %s as user %s: %w", bin.path("postgres"), a.name, err)
	}
	closed := dir
	for up := filepath.Dir(dir); up != "/"; up = filepath.Dir(up) {
		if a.try(up, bin) != nil {
			closed = up
		}
	}
	return fmt.Errorf("PostgreSQL runs as user %s, who has no access to %s: set ROLLCALL_DATA_DIR to a directory that user can access, or run as a regular user", a.name, closed)
}

// try asks the kernel, which alone knows about modes, groups, access lists and
// mounts: the child changes the user first, then the directory.
func (a account) try(dir string, bin Binaries) error {
	cmd := exec.Command(bin.path("postgres"), "--version")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential()}
	return cmd.Run()
}
