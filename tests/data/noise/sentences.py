"""Plain sentences in the scripts of XTREME's languages."""

SENTENCES = {
    "en": "The quick brown fox jumps over the lazy dog, while Mr. Modern clicks on 3,500 pages.",
    "es": "El niño comió una manzana y después salió al jardín.",
    "de": "Über die Größe der Häuser im schönen Zürich sagt man: „Es ist kalt“.",
    "el": "Η Αθήνα είναι η πρωτεύουσα της Ελλάδας, μια παλιά πόλη.",
    "ru": "Её брат приехал в Москву, чтобы учиться в университете.",
    "tr": "İstanbul'da ılık bir akşam için şarkı söyledik.",
    "ar": "ذهب الولد إلى المدرسة، ثم عاد إلى البيت.",
    "fa": "من می‌خواهم به خانه بروم.",
    "he": "הילד הלך לבית הספר בבוקר.",
    "vi": "Tôi rất thích ăn phở ở Hà Nội vào buổi sáng.",
    "th": "ฉันชอบกินข้าวที่ร้านใกล้บ้าน",
    "hi": "मुझे हिन्दी की किताबें पढ़ना अच्छा लगता है।",
    "bn": "আমি বাংলায় গান গাইতে ভালোবাসি।",
    "ta": "தமிழ் மொழி மிகவும் பழமையானது.",
    "te": "నాకు తెలుగు పుస్తకాలు ఇష్టం.",
    "ko": "나는 오늘 학교에 갔습니다.",
    "ja": "私は昨日、東京タワーに行きました。",
    "zh": "我昨天去了北京大学，看见了未来的朋友。",
    "ka": "მე მიყვარს საქართველო.",
    "my": "ကျွန်တော် မြန်မာ စာ ဖတ်သည်။",
    "kk": "Мен қазақ тілін үйренемін.",
    "qaa": "talu remi sokato benu, vari temo.",
}
"""Language -> sentence; qaa is an invented language."""

CASELESS = ("ar", "fa", "he", "th", "hi", "bn", "ta", "te", "ko", "ja", "zh", "ka", "my")
"""Languages whose sentence above has no letter with case."""

UNTOUCHED = {
    "swap": (),
    "drop": (),
    "insert": (),
    "keyboard": ("zh", "my"),
    "casing": CASELESS,
    "punctuation": ("th",),
    "ocr": ("ka", "my"),
}
"""Kind -> languages whose sentence it cannot change."""
