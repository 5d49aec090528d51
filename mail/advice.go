package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"syscall"

	"rollcall/egress"
)

// Advice says in one or two sentences what went wrong and what an administrator
// can do about it. It has none of the server's words; see Reply for those.
func (f *Failure) Advice() string {
	if f.Code != 0 {
		return f.adviceOnReply()
	}
	switch {
	case errors.Is(f.Err, errFrom):
		return "The From address is not one that mail can be sent from. Correct it."
	case errors.Is(f.Err, errAddress):
		return "The address to send to is not one that mail can be sent to. Correct it."
	case errors.Is(f.Err, errNoSTARTTLS):
		return "The server does not offer STARTTLS, so nothing was sent. Choose implicit TLS (usually port 465), or another port of the server."
	case errors.Is(f.Err, errNoAuth):
		return "The server offers no way to sign in that we speak (PLAIN or LOGIN). Leave the user empty if it needs none, or use its submission port, usually 587."
	case isOneOf[x509.HostnameError](f.Err):
		return "The certificate of the server is for another name. Use as host the name that the certificate carries."
	case isOneOf[*tls.CertificateVerificationError](f.Err) || isOneOf[x509.UnknownAuthorityError](f.Err):
		return "The certificate of the server cannot be trusted: it has expired, or nobody this machine trusts has signed it. Renew it, or add its authority to this machine."
	case isOneOf[tls.RecordHeaderError](f.Err):
		return "The server does not speak TLS from the first byte on this port. Choose STARTTLS (usually port 587), or port 465 for implicit TLS."
	case errors.Is(f.Err, egress.ErrAddress):
		return "The host leads to an address that mail may not be handed to from here, so nothing was sent. Whoever runs this server can allow it with ROLLCALL_SMTP_ALLOW_PRIVATE."
	case isOneOf[*net.DNSError](f.Err):
		return "The name of the host could not be resolved. Check its spelling, and the DNS of this machine."
	case errors.Is(f.Err, syscall.ECONNREFUSED):
		return "The host is there, but nothing takes connections on this port. Check the port: 587 for STARTTLS, 465 for implicit TLS, 25 without."
	case timedOut(f.Err):
		return "The server did not answer in time. Check host and port, and that the firewall lets connections to it through."
	case f.Stage == StageEnd:
		return "The connection broke after the mail was handed over, so it may or may not have arrived. Look into the mailbox, then try again."
	}
	return adviceOnLoss(f.Stage)
}

func (f *Failure) adviceOnReply() string {
	switch {
	case f.Stage == StageAuth && f.Code >= 500 || f.Code == 530 || f.Code == 534 || f.Code == 535 || f.Code == 538:
		return "The server refused the login. Check user and password; some providers want a password made for programs (an app password)."
	case f.Stage == StageAuth:
		return "The server could not check the login right now. Try again in a few minutes."
	case f.Class == ServerDown && f.Configuration:
		return "The server does not let this account send from this From address, or does not take mail from here. Correct the From address, or allow it at the mail provider."
	case f.Enhanced == "5.4.5":
		return "The account has sent as much as it may for now. Wait, or ask the mail provider for a larger quota."
	case f.Class == Permanent:
		return "The server refused the mail for good. Its words say why; often the address to send to does not exist there, or relaying needs a login."
	}
	return "The server asked to come back later. Mail is tried again by itself; try this again in a few minutes."
}

func adviceOnLoss(stage Stage) string {
	switch stage {
	case StageTLS:
		return "No encrypted connection could be made. Check that port and security belong together: 587 with STARTTLS, 465 with implicit TLS."
	case StageConnect:
		return "No connection to the server could be made. Check host and port."
	case StageHello:
		return "The server broke the connection off in the greeting. Check that it is a mail server's port, and that the server takes mail from this machine."
	}
	return "The server broke the connection off. Try again; if it happens again, its own log says why."
}

func timedOut(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
