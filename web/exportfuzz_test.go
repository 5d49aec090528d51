package web

// What the fuzz targets look at from outside.
var (
	OwnPath  = ownPath
	MailPage = mailPage
)
