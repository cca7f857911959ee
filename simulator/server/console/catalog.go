package console

import (
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

//go:embed i18n/*.json
var catalogFiles embed.FS

// Language is one that the console speaks.
type Language string

// The languages.
const (
	English Language = "en"
	Chinese Language = "zh-CN"
)

func languages() []Language { return []Language{English, Chinese} }

// catalog is the console's texts in one language. A text has places, as {n}, for what is
// put into it; that is only ever text again, and escaped where it comes to stand.
type catalog map[string]string

func loadCatalog(l Language) (catalog, error) {
	c := catalog{}
	for _, name := range []string{"i18n/", "i18n/refused."} {
		b, err := catalogFiles.ReadFile(name + string(l) + ".json")
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(b, &c); err != nil {
			return nil, fmt.Errorf("catalog %s%s: %w", name, l, err)
		}
	}
	return c, nil
}

// text gives a text with its places filled: pairs are names and values. A text that is
// not there is its own key, so that a page shows what is missing.
func (c catalog) text(key string, pairs ...any) string {
	s, ok := c[key]
	if !ok {
		return key
	}
	if len(pairs) == 0 {
		return s
	}
	places := make([]string, 0, len(pairs))
	for i := 0; i+1 < len(pairs); i += 2 {
		places = append(places, fmt.Sprintf("{%v}", pairs[i]), shown(pairs[i+1]))
	}
	return strings.NewReplacer(places...).Replace(s)
}

// shown writes a value as people read it: thousands are parted.
func shown(v any) string {
	switch v := v.(type) {
	case int:
		return parted(int64(v))
	case int64:
		return parted(v)
	}
	return fmt.Sprint(v)
}

func parted(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

const languageCookie = "otasim_lang"

// languageOf is the language of a request: what its query says, else its cookie, else
// its Accept-Language.
func languageOf(r *http.Request) Language {
	if l := Language(r.URL.Query().Get("lang")); slices.Contains(languages(), l) {
		return l
	}
	if c, err := r.Cookie(languageCookie); err == nil && slices.Contains(languages(), Language(c.Value)) {
		return Language(c.Value)
	}
	return preferred(r.Header.Get("Accept-Language"))
}

// preferred reads Accept-Language: of the languages spoken here the one wanted most.
func preferred(header string) Language {
	best, most := English, 0.0
	for part := range strings.SplitSeq(header, ",") {
		tag, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		weight := 1.0
		if q, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			weight, _ = strconv.ParseFloat(q, 64)
		}
		for _, l := range languages() {
			if main, _, _ := strings.Cut(string(l), "-"); weight > most && (strings.EqualFold(tag, main) || len(tag) > len(main) && strings.EqualFold(tag[:len(main)+1], main+"-")) {
				best, most = l, weight
			}
		}
	}
	return best
}
