package devstack

// FindInstallations lets a test choose the directories to search.
var FindInstallations = findInstallations

// StartMailboxWithin is StartMailbox with other limits.
var StartMailboxWithin = startMailbox

// Decode decodes a mail as it was received.
func Decode(raw []byte) Captured { return decodeMail(1, receivedMail{Raw: raw}) }
