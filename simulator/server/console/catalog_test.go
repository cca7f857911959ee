package console

import (
	"io/fs"
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var places = regexp.MustCompile(`\{[a-z]+\}`)

// TestCatalogs: both languages have the same texts with the same places in them.
func TestCatalogs(t *testing.T) {
	var all []catalog
	for _, l := range languages() {
		c, err := loadCatalog(l)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	en, zh := all[0], all[1]
	for key := range maps.Keys(en) {
		if _, ok := zh[key]; !ok {
			t.Errorf("%s is not in Chinese", key)
		}
		if a, b := placesOf(en[key]), placesOf(zh[key]); !slices.Equal(a, b) {
			t.Errorf("%s has %v in English and %v in Chinese", key, a, b)
		}
		if en[key] == "" || zh[key] == "" {
			t.Errorf("%s is empty", key)
		}
	}
	for key := range maps.Keys(zh) {
		if _, ok := en[key]; !ok {
			t.Errorf("%s is not in English", key)
		}
	}
}

// TestWordsOfTheDocument: what the source document calls something the console calls so too.
func TestWordsOfTheDocument(t *testing.T) {
	zh, err := loadCatalog(Chinese)
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for _, text := range zh {
		said[strings.TrimSuffix(text, "（分钟）")] = true
	}
	for _, word := range strings.Fields(`
		OTA升级 安全升级 公钥 复制 模块列表 新增模块 确认 所属产品 模块名称 模块别名 模块描述
		添加升级包 升级包类型 整包 差分 升级包名称 升级包模块 升级包版本号 待升级版本号 升级后版本号 签名算法 上传升级包 升级包描述 升级包列表 版本统计
		验证 待验证设备 设备升级超时时间 批量升级 升级范围配置 升级策略配置 升级方式 静态升级 动态升级 升级范围 全部设备 定向升级 手动勾选 下载模板 灰度升级
		升级时间 立即升级 定时升级 升级开始时间 升级结束时间 升级失败重试间隔 不重试 立即重试 10分钟后重试 30分钟后重试 1小时后重试 24小时后重试
		升级重试上限次数 1次 2次 5次 是否覆盖设备之前的升级任务 是否仅对新上报版本的设备生效 批次标签 标签Key 标签Value
		批次管理 查看 取消 设备列表 待推送 （设备离线） 已推送 升级中 升级成功 升级失败 已取消`) {
		if !said[word] {
			t.Errorf("no text of the console is %q", word)
		}
	}
}

func placesOf(s string) []string {
	found := places.FindAllString(s, -1)
	slices.Sort(found)
	return found
}

var (
	inTemplate = regexp.MustCompile(`[{( ]t "([a-z0-9.-]+)"|\.(?:In|Choose|Words) "[A-Za-z]+" "([a-z.]+)"`)
	inCode     = regexp.MustCompile(`(?:v\.t|v\.say|\.text)\("([a-z0-9.-]+)"|trouble\([A-Za-z0-9.]+, "([a-z.]+)"|page\("[a-z-]+", "([a-z.]+)"|again\("[a-z-]+", "([a-z.]+)"`)
)

// TestTextsAreThere: what templates and code ask for is in the catalogs.
func TestTextsAreThere(t *testing.T) {
	en, err := loadCatalog(English)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	check := func(where, text string, pattern *regexp.Regexp) {
		for _, m := range pattern.FindAllStringSubmatch(text, -1) {
			key := strings.Join(m[1:], "")
			if strings.HasSuffix(key, ".") {
				continue // the rest is a value
			}
			asked++
			if _, ok := en[key]; !ok {
				t.Errorf("%s asks for %q, which is no text", where, key)
			}
		}
	}
	templates, _ := fs.Glob(templateFiles, "templates/*.html")
	for _, name := range templates {
		b, err := templateFiles.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		check(name, string(b), inTemplate)
	}
	sources, _ := fs.Glob(os.DirFS("."), "*.go")
	for _, name := range sources {
		if b, err := os.ReadFile(name); err != nil {
			t.Fatal(err)
		} else if !strings.HasSuffix(name, "_test.go") {
			check(name, string(b), inCode)
		}
	}
	if asked < 300 {
		t.Errorf("only %d texts were found: the patterns of this test are wrong", asked)
	}
}

func TestLanguage(t *testing.T) {
	for _, tc := range []struct {
		query, cookie, accept string
		want                  Language
	}{
		{"", "", "", English},
		{"", "", "zh-CN,zh;q=0.9,en;q=0.8", Chinese},
		{"", "", "en-GB,en;q=0.9,zh;q=0.8", English},
		{"", "", "fr, zh-TW;q=0.2", Chinese},
		{"", "en", "zh-CN", English},
		{"zh-CN", "en", "en", Chinese},
		{"xx", "yy", "*", English},
	} {
		r := httptest.NewRequest("GET", "/console/?lang="+tc.query, nil)
		r.Header.Set("Accept-Language", tc.accept)
		r.Header.Set("Cookie", languageCookie+"="+tc.cookie)
		if got := languageOf(r); got != tc.want {
			t.Errorf("%+v: %s", tc, got)
		}
	}
}

// TestPlaces: what is put into a text is not read as a text with places of its own.
func TestPlaces(t *testing.T) {
	c := catalog{"x": "{a} and {b}, {n}"}
	if got := c.text("x", "a", "{b}", "b", "2", "n", 1234567); got != "{b} and 2, 1,234,567" {
		t.Error(got)
	}
}

// TestTemplatesHaveNoScriptAndStyle: the content security policy would not let them.
func TestTemplatesHaveNoScriptAndStyle(t *testing.T) {
	templates, _ := fs.Glob(templateFiles, "templates/*.html")
	forbidden := regexp.MustCompile(`(?i)\sstyle=|<style|\son[a-z]+=|<script(?:>| [^s])|javascript:|hx-on`)
	for _, name := range templates {
		b, err := templateFiles.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if m := forbidden.Find(b); m != nil {
			t.Errorf("%s has %q", name, m)
		}
	}
}
