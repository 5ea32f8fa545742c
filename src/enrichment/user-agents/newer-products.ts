import type { ProductRule } from './product-rules.ts'

/** Products that the released rules (uap-core 0.18) do not know or take for the browser engine that they embed: in-app
 * browsers of the large ad networks, vendor browsers, Chromium derivatives. Tried before the released rules.
 *
 * Written from published user agents (uap-core's own test cases among them, so its share right is no independent measure
 * of this list); names are those of uap-core, so that a product keeps its name when the released rules learn it.
 */

/** Product token as it stands in the user agent (expression source, before `/version`) → family. */
const TOKENS: readonly (readonly [token: string, family: string])[] = [
  // In-app browsers.
  ['KAKAOTALK', 'KakaoTalk'],
  ['Telegram-Android', 'Telegram'],
  ['bdhonorbrowser', 'Honor Browser'],
  ['baiduboxapp', 'Baidu Explorer'],
  ['Teams', 'Microsoft Teams'],
  ['RobloxApp', 'Roblox App'],
  ['Chesscom-Android', 'Chesscom-Android'],
  ['AncestryAndroid', 'AncestryAndroid'],
  ['Instabridge', 'Instabridge'],
  ['CitizenFX', 'CitizenFX'],
  ['R2Client', 'R2Client'],
  ['OBS', 'OBS Studio'],
  ['AdobeCEP', 'Adobe CEP'],
  // Browsers of phone and computer makers.
  ['VivoBrowser', 'VivoBrowser'],
  ['H[iI]Browser', 'HiBrowser'],
  ['HeyTapBrowser', 'HeyTap Browser'],
  ['HonorBrowser', 'Honor Browser'],
  ['HuaweiBrowser', 'Huawei Browser'],
  ['SLBrowser', 'Smart Lenovo Browser'],
  ['OculusBrowser', 'Oculus Browser'],
  ['Wolvic', 'Wolvic Browser'],
  // Television sets.
  ['Thano', 'SmartTV WebBrowser'],
  ['SmartTV/.{1,40}Colt', 'NetCast Smart TV'],
  ['OMI', 'Vewd Browser'],
  ['Odin', 'Odin'],
  // Browsers with an engine of Chromium, Gecko or WebKit.
  ['OPX', 'Opera GX'],
  ['OPT', 'Opera Touch'],
  ['UCMobile', 'UC Browser'],
  ['YaSearchBrowser', 'Yandex Browser'],
  ['Vivaldi', 'Vivaldi'],
  ['Avast(?:SecureBrowser)?', 'Avast Secure Browser'],
  ['AVG', 'AVG'],
  ['Avira', 'Avira'],
  ['CCleaner', 'CCleaner'],
  ['Norton', 'Norton'],
  ['AlohaBrowser', 'Aloha Browser'],
  ['ABB', 'Aloha Browser'],
  ['MullvadBrowser', 'MullvadBrowser'],
  ['Mypal', 'Mypal Browser'],
  ['Ladybird', 'Ladybird'],
  ['115Browser', '115 Browser'],
  ['QuarkPC', 'Quark PC'],
  ['Quark', 'Quark'],
  ['Atom', 'Atom Browser'],
  ['AOLShield', 'AOL Shield Browser'],
  ['ADG', 'AOL Desktop Gold Browser'],
  ['Hola', 'Hola Browser'],
  ['CravingExplorer', 'Craving Explorer Browser'],
  ['SberBrowser', 'Sber Browser'],
  ['JiSu', 'JiSu Browser'],
  ['PHX', 'Phoenix Browser'],
  ['Lite Browser', 'Lite Browser'],
  ['QtWebEngine', 'Qt Web Engine'],
  // Chromium builds that only change the end of the user agent.
  ['OpenWave', 'Open Wave'],
  ...['Trailer', 'Agency', 'Herring', 'AtContent', 'Config', 'Viewer', 'LikeWise', 'Unique'].map(
    (name) => [`Safari/537\\.36 ${name}`, name] as const,
  ),
  // Automation and monitoring.
  ['RuxitSynthetic', 'Ruxit Synthetic'],
  ['Google-InspectionTool', 'Google-InspectionTool'],
  ['RecipeRadar', 'RecipeRadar'],
  ['aws-sdk-go-v2', 'aws-sdk-go-v2'],
]

const VERSION = String.raw`v?(\d+)(?:\.(\d+))?(?:\.(\d+))?`

/** Products whose version stands elsewhere than after `token/`, or that have none. */
const SPECIAL: readonly (readonly [pattern: RegExp, family: string])[] = [
  [/^(Instagram) (\d+)\.(\d+)\.(\d+)/, 'Instagram'],
  [/^(HipChat) Mozilla/, 'HipChat Desktop Client'],
  [/^(Roadrunner)\/\w+\/\d+\/(\d+)\.(\d+)\.(\d+)/, 'Roadrunner'],
  [/(musical_ly|trill)_\d{6,}.{1,120}app_version\/(\d+)\.(\d+)\.(\d+)/, 'TikTok'],
  [/(musical_ly)_(\d{1,3})\.(\d+)\.(\d+)/, 'TikTok'],
  [/(BytedanceWebview)\//, 'TikTok'],
  [/(__weibo__)(\d+)\.(\d+)\.(\d+)/, 'Weibo'],
  [/(Weibo)(?:Intl|lite)?iOS_/, 'Weibo'],
  [/(MicroMessenger)\/(\d+)\.(\d+)(?:\.(\d+))?.{1,120}(?:Windows|Mac)Wechat/, 'WeChat Browser'],
  [/(Camoufox) (\d+)\.(\d+)/, 'Camoufox'],
  [/(Valve Steam GameOverlay)\/.{1,200}Chrome\/(\d+)\.(\d+)\.(\d+)/, 'Steam GameOverlay'],
  [/(Valve Steam Gamepad)\/.{1,200}Chrome\/(\d+)\.(\d+)\.(\d+)/, 'Steam Deck'],
  [/(Valve (?:Steam )?Client)\/.{1,200}Chrome\/(\d+)\.(\d+)\.(\d+)/, 'Steam Client'],
  [/(Brave) Chrome\/(\d+)\.(\d+)\.(\d+)/, 'Brave'],
  [/([Bb]rave)\/(\d+)(?:\.(\d+))?(?:\.(\d+))?/, 'Brave'],
  [/Safari\/[\d.]+ \(?(Brave)\)?$/, 'Brave'],
  [/Mobile\/.{1,40}(Ddg)\/(\d+)(?:\.(\d+))?/, 'DuckDuckGo Mobile'],
  [/(Ddg)\/(\d+)(?:\.(\d+))?/, 'DuckDuckGo'],
  [/(Ecosia ios)@(\d+)(?:\.(\d+))?(?:\.(\d+))?/, 'Ecosia iOS'],
  [/(Ecosia android)@(\d+)(?:\.(\d+))?(?:\.(\d+))?/, 'Ecosia Android'],
  [/Macintosh.{1,120}(EdgiOS)\/(\d+)(?:\.(\d+))?(?:\.(\d+))?/, 'Edge Mobile'],
  [/Macintosh.{1,120}(CriOS)\/(\d+)(?:\.(\d+))?(?:\.(\d+))?/, 'Chrome Mobile iOS'],
  [/(QIHU 360)(?:SE|ENT|EE)/, '360 Secure Browser'],
  [/Chrome\/[\d.]+ (Decentr) Safari/, 'Decentr Web3 Browser'],
  [/Safari\/[\d.]+ (Sparrow)$/, 'Sparrow Browser'],
  [/(Chromium GOST)/, 'Chromium GOST Browser'],
  [/Safari\/[\d.]+ (Talon)$/, 'Talon Cyber Security Browser'],
  [/(Qaxbrowser)/, 'QAX Browser'],
]

const browser = (pattern: RegExp, family: string): ProductRule => ({ pattern, family, version: [] })

export const newerBrowsers: readonly ProductRule[] = [
  ...SPECIAL.map(([pattern, family]) => browser(pattern, family)),
  ...TOKENS.map(([token, family]) => browser(new RegExp(`(?:^|[ ;(])(${token})/${VERSION}`), family)),
]

export const newerSystems: readonly ProductRule[] = [
  // Chrome and Edge on an iPad that asks for desktop pages say Macintosh, but name their iOS build.
  { pattern: /Macintosh.{1,120}(?:CriOS|EdgiOS|FxiOS)\//, family: 'iOS', version: [] },
  { pattern: /(HarmonyOS) (\d+)(?:\.(\d+))?(?:\.(\d+))?/, family: 'HarmonyOS', version: [] },
  { pattern: /Android (\d+)(?:\.(\d+))?.{1,200}CrKey\//, family: 'Chromecast Android', version: ['$1', '$2'] },
  chromecast(/Fuchsia.{1,200}(CrKey)\/(\d+)(?:\.(\d+))?(?:\.(\d+))?/, 'Chromecast Fuchsia'),
  chromecast(/(CrKey)\/(\d+)(?:\.(\d+))?(?:\.(\d+))? DeviceType\/SmartSpeaker/, 'Chromecast SmartSpeaker'),
  chromecast(/Linux.{1,200}(CrKey)\/(\d+)(?:\.(\d+))?(?:\.(\d+))?/, 'Chromecast Linux'),
  { pattern: /os\/(macos)(?:#(\d+))?(?:\.(\d+))?(?:\.(\d+))?/, family: 'Mac OS X', version: [] },
  { pattern: /aws-sdk-go\/.{1,60}; darwin;/, family: 'Mac OS X', version: [] },
  // Darwin's major version is iOS's plus six, its minor one that of iOS.
  ...[16, 17, 18].map((major) => ({
    pattern: new RegExp(`CFNetwork/1[4-9]\\d\\d.{0,10} Darwin/${major + 6}\\.(\\d+)`),
    family: 'iOS',
    version: [String(major), '$1'],
  })),
]

function chromecast(pattern: RegExp, family: string): ProductRule {
  return { pattern, family, version: [] }
}
