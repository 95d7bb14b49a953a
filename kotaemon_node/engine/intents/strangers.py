"""Messages that are about nothing in particular, or about the world: hardly anybody's intent.

With a handful of intents none can be left out to see what strangers look like; these are taken for
them then. They only raise the bar, and never teach an intent.
"""

from typing import Final

USUAL_STRANGERS: Final = (
    "hello",
    "good morning, how are you",
    "thanks, that is all",
    "ok",
    "who are you",
    "can you help me",
    "what is the weather like tomorrow",
    "what is the capital of France",
    "tell me a joke",
    "how does it work",
    "what does this cost",
    "where are you located",
    "what are your opening hours",
    "which colours are there",
    "what is it made of",
    "how long does it take",
    "do you have a guarantee",
    "who wrote this book",
    "explain the difference between the two",
    "I do not understand",
    "你好",
    "早上好，在吗",
    "谢谢，没有别的了",
    "好的",
    "你是谁",
    "可以帮我吗",
    "明天天气怎么样",
    "法国的首都是哪里",
    "讲个笑话",
    "这个怎么用",
    "多少钱",
    "你们在哪里",
    "几点开门",
    "有哪些颜色",
    "是什么材质的",
    "需要多长时间",
    "有保修吗",
    "这本书是谁写的",
    "这两个有什么区别",
    "我不明白",
)
