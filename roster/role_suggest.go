package roster

import "strings"

// userWords and adminWords are other systems' names of the two roles. Only
// words that mean administrator and nothing else suggest admin: whether a
// manager or an owner should be one is for people to decide.
var (
	userWords = words("users", "member", "members", "employee", "standard", "standard user", "normal", "regular", "basic", "end user", "enduser",
		"viewer", "reader", "guest", "staff", "benutzer", "benutzerin", "anwender", "anwenderin", "nutzer", "nutzerin", "mitarbeiter", "mitarbeiterin",
		"utilisateur", "utilisatrice", "membre", "usuario", "usuaria", "utente", "utilizador", "gebruiker", "użytkownik", "kullanıcı", "пользователь",
		"ユーザー", "一般", "用户", "用戶", "사용자")
	adminWords = words("admins", "administrator", "administrators", "administratorin", "administrateur", "administratrice", "administrador", "administradora",
		"amministratore", "amministratrice", "beheerder", "yönetici", "администратор", "管理者", "管理员", "管理員", "관리자")
)

func words(list ...string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, w := range list {
		set[w] = true
	}
	return set
}

func roleProblem(role string) Problem {
	p := problem(ColumnRole, InvalidRole, role, "The role must be user or admin.")
	if len(role) > maxValueRunes {
		return p
	}
	if IsPlaceholder(role) {
		p.Message, p.Fix = "The role is a word that programs write for nothing.", "Leave the role blank"
		return p
	}
	switch word := strings.ToLower(strings.Trim(WithoutHidden(role), ".,;:*'\"“”‘’[]() ")); {
	case word == string(RoleUser) || userWords[word]:
		p.Suggestion = string(RoleUser)
	case word == string(RoleAdmin) || adminWords[word]:
		p.Suggestion = string(RoleAdmin)
	default:
		return p
	}
	p.Fix = "Write " + p.Suggestion + ", or leave the role blank"
	return p
}
