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

// account is who the server runs as. PostgreSQL refuses to run as root, so root
// hands it to somebody else; anybody else runs it himself.
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
// of the system's packages, or nobody.
func accountFor(dataDir string) (account, error) {
	owner, exists, err := ownerOf(dataDir)
	if err != nil {
		return account{}, err
	}
	self := os.Geteuid()
	switch {
	case exists && owner.uid == 0:
		return account{}, fmt.Errorf("%s belongs to root, and PostgreSQL does not run as root: give it to another user, or move it away", dataDir)
	case exists && self == 0:
		owner.switched = true
		return owner, nil
	case exists && owner.uid != self:
		return account{}, fmt.Errorf("%s belongs to another user (%s): run as that user, or set ROLLCALL_DATA_DIR to a directory of your own", dataDir, owner.name)
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
		// A negative id is what some systems print for nobody.
		if errors.Join(errUID, errGID) == nil && uid > 0 && gid > 0 {
			return account{name: name, uid: uid, gid: gid, switched: true}, nil
		}
	}
	return account{}, errors.New("PostgreSQL does not run as root, and this machine has neither a postgres nor a nobody user: run as an ordinary user, or set DATABASE_URL")
}

// ownerOf returns who owns path, or exists false where there is nothing.
func ownerOf(path string) (owner account, exists bool, err error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return account{}, false, nil
	}
	if err != nil {
		return account{}, false, fmt.Errorf("looking at %s: %w", path, err)
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
		return fmt.Errorf("running %s as user %s: %w", bin.path("postgres"), a.name, err)
	}
	closed := dir
	for up := filepath.Dir(dir); up != "/"; up = filepath.Dir(up) {
		if a.try(up, bin) != nil {
			closed = up
		}
	}
	return fmt.Errorf("PostgreSQL does not run as root but as user %s, who cannot enter %s: set ROLLCALL_DATA_DIR to a directory that user can reach, or run as an ordinary user", a.name, closed)
}

// try asks the kernel, the only one that knows of modes, groups, access lists
// and mounts alike: the child changes user first and directory then.
func (a account) try(dir string, bin Binaries) error {
	cmd := exec.Command(bin.path("postgres"), "--version")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential()}
	return cmd.Run()
}
